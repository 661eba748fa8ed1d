package dev.moxie.verifier.reference;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.verifier.diagnosis.Budget;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * What of references is verified, and how long a difference is looked into.
 *
 * <p>Layers are held to a reference one by one, each on the input that was recorded for it; the
 * embedding is verified with the first of all layers, the head with the last. What is computed from
 * the tokens on needs every layer, and is left out where one is.
 *
 * @param ranges of layers; empty for all
 * @param tokens of each reference, from the first on
 * @param budget of diagnosis
 * @param progress is told what was done
 */
public record Scope(List<Range> ranges, int tokens, Budget budget, Progress progress) {

  /**
   * Layers beside each other.
   *
   * @param last no less than the first
   */
  public record Range(int first, int last) {}

  public Scope {
    ranges = List.copyOf(ranges);
  }

  /** Everything, and nobody is told. */
  public static Scope all() {
    return new Scope(List.of(), Integer.MAX_VALUE, Budget.usual(), Progress.NONE);
  }

  /**
   * The layers of a model that are verified, in their order.
   *
   * @throws UsageException if it does not have them
   */
  public List<Integer> layers(Architecture model) {
    int count = model.layers().size();
    List<Integer> layers = new ArrayList<>();
    for (int layer = 0; layer < count; layer++) {
      int l = layer;
      if (ranges.isEmpty() || ranges.stream().anyMatch(r -> r.first() <= l && l <= r.last())) {
        layers.add(layer);
      }
    }
    int last = ranges.stream().mapToInt(Range::last).max().orElse(0);
    if (last >= count) {
      throw new UsageException(
          "--layers",
          "layers from 0 to " + (count - 1),
          String.valueOf(last),
          "name layers that it has");
    }
    return layers;
  }

  /** The layers of a model that are not. */
  List<Integer> leftOut(Architecture model) {
    List<Integer> verified = layers(model);
    return IntStream.range(0, model.layers().size())
        .filter(layer -> !verified.contains(layer))
        .boxed()
        .toList();
  }
}

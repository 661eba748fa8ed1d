package dev.moxie.verifier.reference;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Which experts some reference has used: the others could hold anything and nobody would notice.
 */
final class Coverage {
  private static final int SHOWN = 8;

  private final Map<Integer, BitSet> unused = new TreeMap<>();
  private int experts;

  /** Of some layers. */
  Coverage(Architecture architecture, List<Integer> layers) {
    for (int layer : layers) {
      int count =
          switch (architecture.layers().get(layer).feedForward()) {
            case FeedForward.Dense _, FeedForward.None _ -> 0;
            case FeedForward.MixtureOfExperts moe -> moe.experts();
          };
      var all = new BitSet(count);
      all.set(0, count);
      unused.put(layer, all);
      experts += count;
    }
  }

  /** Takes in the decisions of one layer. */
  void add(int layer, List<int[]> decisions) {
    for (int[] chosen : decisions) {
      for (int expert : chosen) {
        Objects.requireNonNull(unused.get(layer)).clear(expert);
      }
    }
  }

  /** One sentence if some experts were never used, else nothing. */
  List<String> notCovered() {
    List<String> names = new ArrayList<>();
    unused.forEach(
        (layer, rest) -> rest.stream().forEach(e -> names.add("layer " + layer + " expert " + e)));
    if (names.isEmpty()) {
      return List.of();
    }
    String shown = names.stream().limit(SHOWN).collect(Collectors.joining(", "));
    return List.of(
        "numbers of %d of %d experts, which no reference chooses: %s%s"
            .formatted(names.size(), experts, shown, names.size() > SHOWN ? ", …" : ""));
  }
}

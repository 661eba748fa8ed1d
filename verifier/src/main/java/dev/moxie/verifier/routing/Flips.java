package dev.moxie.verifier.routing;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** Counts, by layer, for how many tokens two models choose different experts. */
public final class Flips {
  private final SortedMap<Integer, Tally> byLayer = new TreeMap<>();

  /** One layer. */
  private static final class Tally {
    final Margins all = new Margins();
    final Margins flipped = new Margins();
    long decisions;
    long flips;
    long common;
    long chosen;

    LayerFlips result(int layer) {
      Double median = all.median();
      return new LayerFlips(
          layer,
          decisions,
          flips,
          median == null ? 0 : flipped.below(median),
          (double) common / chosen,
          median,
          flipped.median());
    }
  }

  /**
   * Why decisions of two models cannot be compared; nothing if they can.
   *
   * @param a whose layers with experts, and whose experts in each, must be those of the other
   */
  public static Optional<String> incomparable(Architecture a, Architecture b) {
    List<Integer> ours = experts(a);
    List<Integer> theirs = experts(b);
    for (int layer = 0; layer < Math.max(ours.size(), theirs.size()); layer++) {
      String one = layer < ours.size() ? ours.get(layer) + " experts" : "nothing";
      String other = layer < theirs.size() ? theirs.get(layer) + " experts" : "nothing";
      if (!one.equals(other)) {
        return Optional.of(
            "layer %d with %s in one and %s in the other".formatted(layer, one, other));
      }
    }
    return Optional.empty();
  }

  private static List<Integer> experts(Architecture architecture) {
    return architecture.layers().stream()
        .map(
            layer ->
                layer.feedForward() instanceof FeedForward.MixtureOfExperts moe ? moe.experts() : 0)
        .toList();
  }

  /** Adds the decisions of tokens that both models computed. */
  public void add(Choices actual, Choices expected) {
    expected
        .byLayer()
        .forEach(
            (layer, choices) -> {
              Tally tally = byLayer.computeIfAbsent(layer, first -> new Tally());
              List<Choices.Choice> ours =
                  Objects.requireNonNull(actual.byLayer().get(layer), "layer " + layer);
              for (int t = 0; t < choices.size(); t++) {
                add(tally, ours.get(t).experts(), choices.get(t));
              }
            });
  }

  private static void add(Tally tally, int[] actual, Choices.Choice expected) {
    Set<Integer> common = set(expected.experts());
    int k = common.size();
    Set<Integer> ours = set(actual);
    boolean same = common.equals(ours);
    common.retainAll(ours);
    tally.decisions++;
    tally.chosen += k;
    tally.common += common.size();
    tally.flips += same ? 0 : 1;
    if (expected.margin() != null) {
      double gap = expected.margin().gap();
      tally.all.add(gap);
      if (!same) {
        tally.flipped.add(gap);
      }
    }
  }

  private static Set<Integer> set(int[] experts) {
    return Arrays.stream(experts).boxed().collect(Collectors.toCollection(HashSet::new));
  }

  /** One entry per layer with experts. */
  public List<LayerFlips> byLayer() {
    List<LayerFlips> result = new ArrayList<>();
    byLayer.forEach((layer, tally) -> result.add(tally.result(layer)));
    return result;
  }
}

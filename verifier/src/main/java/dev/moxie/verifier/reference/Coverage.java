package dev.moxie.verifier.reference;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Which experts some reference has used: the others could hold anything and nobody would notice.
 */
final class Coverage {
  private static final int SHOWN = 8;

  private final List<BitSet> unused = new ArrayList<>();
  private int experts;

  Coverage(Architecture architecture) {
    for (Architecture.Blocks block : architecture.layers()) {
      int count =
          switch (block.feedForward()) {
            case FeedForward.Dense dense -> 0;
            case FeedForward.MixtureOfExperts moe -> moe.experts();
          };
      var all = new BitSet(count);
      all.set(0, count);
      unused.add(all);
      experts += count;
    }
  }

  /** Takes in the decisions of one layer. */
  void add(int layer, List<int[]> decisions) {
    for (int[] chosen : decisions) {
      for (int expert : chosen) {
        unused.get(layer).clear(expert);
      }
    }
  }

  /** One sentence if some experts were never used, else nothing. */
  List<String> notCovered() {
    List<String> names = new ArrayList<>();
    for (int layer = 0; layer < unused.size(); layer++) {
      int l = layer;
      unused.get(layer).stream().forEach(e -> names.add("layer " + l + " expert " + e));
    }
    if (names.isEmpty()) {
      return List.of();
    }
    String shown = names.stream().limit(SHOWN).collect(Collectors.joining(", "));
    return List.of(
        "numbers of %d of %d experts, which no reference chooses: %s%s"
            .formatted(names.size(), experts, shown, names.size() > SHOWN ? ", …" : ""));
  }
}

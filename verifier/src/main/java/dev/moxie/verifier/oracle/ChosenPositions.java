package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Attention;
import java.util.Arrays;
import java.util.BitSet;
import java.util.stream.IntStream;

/**
 * Those positions, or blocks of them, that have the largest scores ({@link Attention.Indexer},
 * {@link Attention.BlockIndexer}). A position is undecided if rounding may have had its score, or
 * that of its block, change places with one on the other side of the choice, as of experts.
 */
final class ChosenPositions implements Seen {
  private final int[][] chosen;
  private final int[][] undecided;

  private ChosenPositions(int tokens) {
    chosen = new int[tokens][];
    undecided = new int[tokens][];
  }

  /**
   * Chooses positions.
   *
   * @param scores [T, T], of which those of later positions say nothing
   * @param kept how many are chosen
   * @param every of how many tokens one has a key
   */
  static ChosenPositions of(Estimate scores, int kept, int every) {
    var seen = new ChosenPositions(scores.rows());
    for (int t = 0; t < scores.rows(); t++) {
      int token = t;
      int keys = (t + 1) / every;
      int[] order = Exact.descending(keys, j -> scores.value(token, j));
      seen.chosen[t] = Arrays.stream(order).limit(kept).sorted().toArray();
      seen.undecided[t] = undecided(scores, t, order, kept);
    }
    return seen;
  }

  /**
   * Chooses the positions of blocks, for the heads of one group.
   *
   * @param scores [T, heads · blocks], of which those of later blocks say nothing
   */
  static ChosenPositions ofBlocks(Attention.BlockIndexer n, Estimate scores, int group) {
    int blocks = scores.columns() / n.heads();
    var own = new Estimate(scores.rows(), blocks);
    own.copy(scores, group * blocks, blocks, 0);
    var seen = new ChosenPositions(scores.rows());
    for (int t = 0; t < scores.rows(); t++) {
      int token = t;
      int all = n.blocks(t);
      int others = all - Math.min(n.local(), all);
      int kept = n.kept() - n.local();
      int[] order = Exact.descending(others, b -> own.value(token, b));
      IntStream last = IntStream.range(others, all);
      seen.chosen[t] = positions(n, IntStream.concat(Arrays.stream(order).limit(kept), last), t);
      seen.undecided[t] = positions(n, Arrays.stream(undecided(own, t, order, kept)), t);
    }
    return seen;
  }

  private static int[] positions(Attention.BlockIndexer n, IntStream blocks, int token) {
    return blocks
        .flatMap(b -> IntStream.range(b * n.block(), Math.min((b + 1) * n.block(), token + 1)))
        .sorted()
        .toArray();
  }

  /** Those of an order of which rounding may decide whether they are among the first. */
  static int[] undecided(Estimate scores, int token, int[] order, int kept) {
    if (kept == 0 || kept >= order.length) {
      return new int[0];
    }
    double largest = 0;
    for (int j : order) {
      largest = Math.max(largest, scores.error(token, j));
    }
    // Beyond twice what the largest error allows none changes places with any.
    double near = 2 * Arithmetic.reach(largest);
    double last = scores.value(token, order[kept - 1]);
    double next = scores.value(token, order[kept]);
    BitSet found = new BitSet();
    for (int in = kept; in-- > 0 && scores.value(token, order[in]) - next <= near; ) {
      for (int out = kept; out < order.length; out++) {
        if (last - scores.value(token, order[out]) > near) {
          break;
        }
        if (mayReach(scores, token, order[out], order[in])) {
          found.set(order[in]);
          found.set(order[out]);
        }
      }
    }
    return found.stream().toArray();
  }

  private static boolean mayReach(Estimate scores, int token, int low, int high) {
    double gap = scores.value(token, high) - scores.value(token, low);
    return gap <= Arithmetic.reach(Math.hypot(scores.error(token, high), scores.error(token, low)));
  }

  @Override
  public int[] of(int token) {
    return chosen[token];
  }

  @Override
  public int[] undecided(int token) {
    return undecided[token];
  }

  /** Tokens with undecided positions. */
  BitSet undecided() {
    BitSet tokens = new BitSet();
    for (int t = 0; t < undecided.length; t++) {
      tokens.set(t, undecided[t].length > 0);
    }
    return tokens;
  }
}

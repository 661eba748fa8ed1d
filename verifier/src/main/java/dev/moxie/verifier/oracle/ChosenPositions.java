package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Attention;
import java.util.Arrays;
import java.util.BitSet;
import java.util.stream.IntStream;

/**
 * Those positions that have the largest scores ({@link Attention.Indexer}). A position is undecided
 * if rounding may have had its score change places with one on the other side of the choice, as of
 * experts.
 */
final class ChosenPositions implements Seen {
  private final int[][] chosen;
  private final int[][] undecided;

  /**
   * Chooses.
   *
   * @param scores [T, T], of which those of later positions say nothing
   * @param kept how many are chosen
   */
  ChosenPositions(Estimate scores, int kept) {
    this(scores, kept, 1);
  }

  /** The same where every so many tokens have a key. */
  ChosenPositions(Estimate scores, int kept, int every) {
    chosen = new int[scores.rows()][];
    undecided = new int[scores.rows()][];
    for (int t = 0; t < chosen.length; t++) {
      int keys = (t + 1) / every;
      chosen[t] = IntStream.range(0, keys).toArray();
      undecided[t] = new int[0];
      if (keys > kept) {
        int token = t;
        int[] order = Exact.descending(keys, j -> scores.value(token, j));
        chosen[t] = Arrays.copyOf(order, kept);
        Arrays.sort(chosen[t]);
        undecided[t] = undecided(scores, t, order, kept);
      }
    }
  }

  /** Those of an order of which rounding may decide whether they are among the first. */
  static int[] undecided(Estimate scores, int token, int[] order, int kept) {
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

  @Override
  public BitSet undecided() {
    return Seen.undecided(undecided);
  }
}

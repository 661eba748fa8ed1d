package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Attention;
import java.util.Arrays;
import java.util.BitSet;
import java.util.stream.IntStream;

/**
 * The positions of those blocks that heads of one group see ({@link Attention.BlockIndexer}). Those
 * of a block are undecided together, as positions are that are chosen one by one.
 */
final class ChosenBlocks implements Seen {
  private final int[][] chosen;
  private final int[][] undecided;

  /**
   * Chooses.
   *
   * @param scores [T, heads · blocks], of which those of later blocks say nothing
   * @param group of heads
   */
  ChosenBlocks(Attention.BlockIndexer n, Estimate scores, int group) {
    int blocks = scores.columns() / n.heads();
    var own = new Estimate(scores.rows(), blocks);
    own.copy(scores, group * blocks, blocks, 0);
    chosen = new int[scores.rows()][];
    undecided = new int[scores.rows()][];
    for (int t = 0; t < chosen.length; t++) {
      int token = t;
      int all = n.blocks(t);
      int others = all - Math.min(n.local(), all);
      int kept = Math.min(others, n.kept() - n.local());
      int[] order = Exact.descending(others, b -> own.value(token, b));
      IntStream last = IntStream.range(others, all);
      chosen[t] = positions(n, IntStream.concat(Arrays.stream(order, 0, kept), last), t);
      int[] open =
          kept == others || kept == 0 ? new int[0] : ChosenPositions.undecided(own, t, order, kept);
      undecided[t] = positions(n, Arrays.stream(open), t);
    }
  }

  private static int[] positions(Attention.BlockIndexer n, IntStream blocks, int token) {
    return blocks
        .flatMap(b -> IntStream.range(b * n.block(), Math.min((b + 1) * n.block(), token + 1)))
        .sorted()
        .toArray();
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

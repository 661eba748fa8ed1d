package dev.moxie.runtime.plain;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** What attention makes of scores and values: Σ softmax(scores)_j · values_j. */
final class Mixing {
  static final float NO_SINK = Float.NEGATIVE_INFINITY;

  /** Numbers in four vectors. */
  private static final int FOUR = 4 * Lanes.WIDTH;

  private Mixing() {}

  /**
   * Scores become shares, still to be divided by what is returned.
   *
   * @param sink a score that takes its share and has no value, or {@link #NO_SINK}
   */
  static float shares(float[] scores, int count, float sink) {
    int whole = count & -Lanes.WIDTH;
    FloatVector most = FloatVector.broadcast(Lanes.FLOATS, sink);
    for (int j = 0; j < whole; j += Lanes.WIDTH) {
      most = most.max(FloatVector.fromArray(Lanes.FLOATS, scores, j));
    }
    float max = most.reduceLanes(VectorOperators.MAX);
    for (int j = whole; j < count; j++) {
      max = Math.max(max, scores[j]);
    }
    for (int j = 0; j < whole; j += Lanes.WIDTH) {
      Numbers.exp(FloatVector.fromArray(Lanes.FLOATS, scores, j).sub(max)).intoArray(scores, j);
    }
    for (int j = whole; j < count; j++) {
      scores[j] = Numbers.exp(scores[j] - max);
    }
    double total = sink == NO_SINK ? 0 : Numbers.exp(sink - max);
    for (int j = 0; j < count; j++) {
      total += scores[j];
    }
    return (float) total;
  }

  /**
   * Σ shares_j values_j / total, [width].
   *
   * @param values by block ({@link Past.Layer#values}), of which rows are {@code apart}
   * @param at where a value begins in its row
   * @param first the first value
   * @param out where it goes from {@code to} on
   */
  static void mix(
      float[] shares,
      int count,
      float total,
      float[][] values,
      int at,
      int apart,
      int first,
      int width,
      float[] out,
      int to) {
    if (width >= Lanes.WIDTH && width < FOUR) {
      mixNarrow(shares, count, total, values, at, apart, first, width, out, to);
      return;
    }
    if (width < Lanes.WIDTH) {
      for (int c = 0; c < width; c++) {
        float sum = 0;
        for (int j = 0; j < count; j++) {
          float[] block = values[(first + j) / Past.BLOCK];
          sum = Math.fma(block[(first + j) % Past.BLOCK * apart + at + c], shares[j], sum);
        }
        out[to + c] = sum / total;
      }
      return;
    }
    for (int column = 0; column < width; column += FOUR) {
      // Four vectors, so that none waits for itself; the last ones begin earlier where they would
      // end too late, and give the same once more.
      int c0 = Math.min(column, width - FOUR);
      FloatVector a = FloatVector.zero(Lanes.FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      for (int from = 0; from < count; from = nextBlock(first, from, count)) {
        float[] block = values[(first + from) / Past.BLOCK];
        int next = nextBlock(first, from, count);
        int place = (first + from) % Past.BLOCK * apart + at + c0;
        for (int j = from; j < next; j++) {
          FloatVector share = FloatVector.broadcast(Lanes.FLOATS, shares[j]);
          a = FloatVector.fromArray(Lanes.FLOATS, block, place).fma(share, a);
          b = FloatVector.fromArray(Lanes.FLOATS, block, place + Lanes.WIDTH).fma(share, b);
          c = FloatVector.fromArray(Lanes.FLOATS, block, place + 2 * Lanes.WIDTH).fma(share, c);
          d = FloatVector.fromArray(Lanes.FLOATS, block, place + 3 * Lanes.WIDTH).fma(share, d);
          place += apart;
        }
      }
      a.div(total).intoArray(out, to + c0);
      b.div(total).intoArray(out, to + c0 + Lanes.WIDTH);
      c.div(total).intoArray(out, to + c0 + 2 * Lanes.WIDTH);
      d.div(total).intoArray(out, to + c0 + 3 * Lanes.WIDTH);
    }
  }

  /** The same for a vector of columns at a time: heads that have no four. */
  private static void mixNarrow(
      float[] shares,
      int count,
      float total,
      float[][] values,
      int at,
      int apart,
      int first,
      int width,
      float[] out,
      int to) {
    for (int column = 0; column < width; column += Lanes.WIDTH) {
      int c0 = Math.min(column, width - Lanes.WIDTH);
      FloatVector sum = FloatVector.zero(Lanes.FLOATS);
      for (int from = 0; from < count; from = nextBlock(first, from, count)) {
        float[] block = values[(first + from) / Past.BLOCK];
        int next = nextBlock(first, from, count);
        int place = (first + from) % Past.BLOCK * apart + at + c0;
        for (int j = from; j < next; j++) {
          FloatVector share = FloatVector.broadcast(Lanes.FLOATS, shares[j]);
          sum = FloatVector.fromArray(Lanes.FLOATS, block, place).fma(share, sum);
          place += apart;
        }
      }
      sum.div(total).intoArray(out, to + c0);
    }
  }

  /**
   * The same of some values, each of a whole row.
   *
   * @param positions of the values, as many as there are shares
   */
  static void mix(
      float[] shares,
      int[] positions,
      float total,
      float[][] values,
      int width,
      float[] out,
      int to) {
    Arrays.fill(out, to, to + width, 0);
    for (int j = 0; j < positions.length; j++) {
      float[] block = values[positions[j] / Past.BLOCK];
      Sums.add(shares[j], block, positions[j] % Past.BLOCK * width, out, to, width);
    }
    for (int c = to; c < to + width; c++) {
      out[c] /= total;
    }
  }

  /** The first value after one's block, or the count. */
  private static int nextBlock(int first, int from, int count) {
    return Math.min(count, from + Past.BLOCK - (first + from) % Past.BLOCK);
  }
}

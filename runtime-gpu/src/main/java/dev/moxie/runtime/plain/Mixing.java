package dev.moxie.runtime.plain;

import jdk.incubator.vector.FloatVector;

/** What attention makes of scores and values: Σ softmax(scores)_j · values_j. */
final class Mixing {
  static final float NO_SINK = Float.NEGATIVE_INFINITY;

  private Mixing() {}

  /**
   * Scores become shares, still to be divided by what is returned.
   *
   * @param sink a score that takes its share and has no value, or {@link #NO_SINK}
   */
  static float shares(float[] scores, int count, float sink) {
    float max = sink;
    for (int j = 0; j < count; j++) {
      max = Math.max(max, scores[j]);
    }
    double total = sink == NO_SINK ? 0 : Numbers.exp(sink - max);
    for (int j = 0; j < count; j++) {
      scores[j] = Numbers.exp(scores[j] - max);
      total += scores[j];
    }
    return (float) total;
  }

  /**
   * Σ shares_j values[at + j · apart ...] / total, [width].
   *
   * @param out where it goes from {@code to} on
   */
  static void mix(
      float[] shares,
      int count,
      float total,
      float[] values,
      int at,
      int apart,
      int width,
      float[] out,
      int to) {
    int whole = width & -Lanes.WIDTH;
    for (int c = 0; c < whole; c += Lanes.WIDTH) {
      FloatVector sum = FloatVector.zero(Lanes.FLOATS);
      for (int j = 0; j < count; j++) {
        FloatVector share = FloatVector.broadcast(Lanes.FLOATS, shares[j]);
        sum = FloatVector.fromArray(Lanes.FLOATS, values, at + j * apart + c).fma(share, sum);
      }
      sum.div(total).intoArray(out, to + c);
    }
    for (int c = whole; c < width; c++) {
      float sum = 0;
      for (int j = 0; j < count; j++) {
        sum = Math.fma(values[at + j * apart + c], shares[j], sum);
      }
      out[to + c] = sum / total;
    }
  }
}

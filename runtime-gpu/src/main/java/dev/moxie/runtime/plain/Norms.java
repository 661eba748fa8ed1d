package dev.moxie.runtime.plain;

import org.jspecify.annotations.Nullable;

/** Functions of the numbers of one token, computed in double precision and stored in float32. */
final class Norms {
  private Norms() {}

  static double mean(float[] x, int at, int count) {
    double sum = 0;
    for (int i = at; i < at + count; i++) {
      sum += x[i];
    }
    return sum / count;
  }

  /**
   * w ∘ z / sqrt(mean(z²) + epsilon), z = x − centre.
   *
   * @param w null for ones
   */
  static void norm(
      float[] x,
      int at,
      double centre,
      float @Nullable [] w,
      double epsilon,
      int size,
      float[] y,
      int to) {
    double squares = 0;
    for (int i = 0; i < size; i++) {
      double away = x[at + i] - centre;
      squares += away * away;
    }
    double root = Math.sqrt(squares / size + epsilon);
    for (int i = 0; i < size; i++) {
      double normed = (x[at + i] - centre) / root;
      y[to + i] = (float) (w == null ? normed : w[i] * normed);
    }
  }

  static void softmax(float[] x, int at, int count, float[] y, int to) {
    double max = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < count; i++) {
      max = Math.max(max, x[at + i]);
    }
    double total = 0;
    for (int i = 0; i < count; i++) {
      total += StrictMath.exp(x[at + i] - max);
    }
    for (int i = 0; i < count; i++) {
      y[to + i] = (float) (StrictMath.exp(x[at + i] - max) / total);
    }
  }

  static void sigmoid(float[] x, int at, int count, float[] y, int to) {
    for (int i = 0; i < count; i++) {
      y[to + i] = (float) (1 / (1 + StrictMath.exp(-x[at + i])));
    }
  }

  static void sqrtSoftplus(float[] x, int at, int count, float[] y, int to) {
    for (int i = 0; i < count; i++) {
      y[to + i] = (float) Math.sqrt(Numbers.softplus(x[at + i]));
    }
  }
}

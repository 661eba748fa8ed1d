package dev.moxie.runtime.plain;

import dev.moxie.format.model.Architecture;

/** How a token's residual streams are read, written and mixed ({@link Architecture.Streams}). */
final class StreamWeights {
  private StreamWeights() {}

  /** From m, factors f and shift b; those of reading alone where m has no more. */
  static void of(
      Architecture.Streams s, float[] m, int at, float[] f, float[] b, float[] y, int to) {
    int n = s.count();
    for (int i = 0; i < b.length; i++) {
      y[to + i] = f[f.length == 1 ? 0 : Math.min(2, i / n)] * m[at + i] + b[i];
    }
    for (int i = 0; i < Math.min(b.length, 2 * n); i++) {
      float sigmoid = Numbers.sigmoid(y[to + i]);
      y[to + i] = i < n ? sigmoid + (float) s.epsilon() : 2 * sigmoid;
    }
    int first = to + 2 * n;
    for (int row = 0; row < (b.length == n ? 0 : n); row++) {
      Norms.softmax(y, first + row * n, n, y, first + row * n);
      for (int i = 0; i < n; i++) {
        y[first + row * n + i] += (float) s.epsilon();
      }
    }
    for (int iteration = 0; b.length > n && iteration < s.iterations(); iteration++) {
      for (int i = 0; i < n; i++) {
        if (iteration > 0) {
          divide(y, first + i * n, 1, n, s.epsilon());
        }
      }
      for (int i = 0; i < n; i++) {
        divide(y, first + i, n, n, s.epsilon());
      }
    }
  }

  private static void divide(float[] y, int first, int step, int count, double epsilon) {
    double sum = epsilon;
    for (int i = 0; i < count; i++) {
      sum += y[first + i * step];
    }
    for (int i = 0; i < count; i++) {
      y[first + i * step] = (float) (y[first + i * step] / sum);
    }
  }
}

package dev.moxie.runtime.plain;

import java.util.Arrays;

/**
 * Sums of products, in double precision and rounded to float32 once, so that their errors do not
 * grow with the width of a model. Four products at a time are added up and to the sum: of one sum,
 * a processor does these at once; of many, the compiler does several sums at once. The order is the
 * same, and so are the bits.
 */
final class Sums {
  private Sums() {}

  /** Σ a[aFrom + i] b[bFrom + i]. */
  static double dot(float[] a, int aFrom, float[] b, int bFrom, int count) {
    double sum = 0;
    int i = 0;
    for (; i <= count - 4; i += 4) {
      int j = aFrom + i;
      int k = bFrom + i;
      sum +=
          ((double) a[j] * b[k] + (double) a[j + 1] * b[k + 1])
              + ((double) a[j + 2] * b[k + 2] + (double) a[j + 3] * b[k + 3]);
    }
    for (; i < count; i++) {
      sum += (double) a[aFrom + i] * b[bFrom + i];
    }
    return sum;
  }

  /** Every Σ a[i] columns[i · sums.length + s], which is sum s. */
  static void dots(float[] a, float[] columns, double[] sums) {
    int n = sums.length;
    Arrays.fill(sums, 0);
    int i = 0;
    for (; i <= a.length - 4; i += 4) {
      addFour(a[i], a[i + 1], a[i + 2], a[i + 3], columns, i * n, sums);
    }
    for (; i < a.length; i++) {
      add(a[i], columns, i * n, sums);
    }
  }

  // A method of its own, whose loop C2 turns into vector instructions.
  private static void addFour(
      double a, double b, double c, double d, float[] x, int from, double[] sums) {
    int n = sums.length;
    for (int s = 0; s < n; s++) {
      sums[s] +=
          (a * x[from + s] + b * x[from + n + s])
              + (c * x[from + 2 * n + s] + d * x[from + 3 * n + s]);
    }
  }

  /** Adds factor · x[from + s] to every sum s. */
  static void add(double factor, float[] x, int from, double[] sums) {
    for (int s = 0; s < sums.length; s++) {
      sums[s] += factor * x[from + s];
    }
  }
}

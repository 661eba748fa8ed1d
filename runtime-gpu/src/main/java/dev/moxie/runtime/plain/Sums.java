package dev.moxie.runtime.plain;

/**
 * Sums of products, in double precision and rounded to float32 once, so that their errors do not
 * grow with the width of a model. Four partial sums keep the processor busy; which product goes
 * into which depends on its place alone.
 */
final class Sums {
  private Sums() {}

  /** Σ a[aFrom + i] b[bFrom + i]. */
  static double dot(float[] a, int aFrom, float[] b, int bFrom, int count) {
    double first = 0;
    double second = 0;
    double third = 0;
    double fourth = 0;
    int i = 0;
    for (; i <= count - 4; i += 4) {
      first += (double) a[aFrom + i] * b[bFrom + i];
      second += (double) a[aFrom + i + 1] * b[bFrom + i + 1];
      third += (double) a[aFrom + i + 2] * b[bFrom + i + 2];
      fourth += (double) a[aFrom + i + 3] * b[bFrom + i + 3];
    }
    for (; i < count; i++) {
      first += (double) a[aFrom + i] * b[bFrom + i];
    }
    return (first + second) + (third + fourth);
  }

  /** Adds factor · x[from + i] to every sum. */
  static void add(double factor, float[] x, int from, double[] sums) {
    for (int i = 0; i < sums.length; i++) {
      sums[i] += factor * x[from + i];
    }
  }
}

package dev.moxie.verifier.eval;

import org.jspecify.annotations.Nullable;

/** The mean of numbers, and how sure it is. */
final class Mean {
  private long count;
  private double mean;
  private double squares;

  /**
   * Adds a number; the sum of squares is updated as in Welford, "Note on a method for calculating
   * corrected sums of squares and products", Technometrics, 1962.
   */
  void add(double x) {
    count++;
    double before = x - mean;
    mean += before / count;
    squares += before * (x - mean);
  }

  double mean() {
    return mean;
  }

  /** Standard error if numbers were independent, s / √n; null of less than two. */
  @Nullable Double standardError() {
    return count < 2 ? null : Math.sqrt(squares / (count - 1) / count);
  }
}

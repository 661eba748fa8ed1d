package dev.moxie.verifier.baseline;

import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import org.jspecify.annotations.Nullable;

/**
 * How far the numbers of a summary may be apart, from the errors e that the oracle estimates for
 * each element x of the matrix.
 *
 * <ul>
 *   <li>An element: e.
 *   <li>A projection Σ s_i x_i: sqrt(Σ e_i²).
 *   <li>The mean of n elements: Σ e_i / n. Its signs are all alike, and errors that elements share
 *       add up in it; the deviation of a sum is at most the sum of deviations.
 *   <li>The root r of the mean square: likewise Σ |x_i| e_i / (n r), since dr = Σ x_i dx_i / (n r).
 * </ul>
 *
 * {@link Tolerance#bound} makes bounds of them. Without an oracle every bound is 0.
 */
final class Bounds {
  private final @Nullable Estimate exact;
  private final long compared;

  /**
   * Bounds of one matrix.
   *
   * @param exact its errors; null where nothing may differ
   */
  Bounds(@Nullable Estimate exact) {
    this.exact = exact;
    this.compared =
        exact == null ? 0 : (long) exact.rows() * (exact.columns() + Signs.PROJECTIONS) + 2;
  }

  double element(int row, int column) {
    return exact == null ? 0 : Tolerance.bound(exact.error(row, column), compared);
  }

  double projection(int row) {
    if (exact == null) {
      return 0;
    }
    double squares = 0;
    for (int c = 0; c < exact.columns(); c++) {
      squares += exact.error(row, c) * exact.error(row, c);
    }
    return Tolerance.bound(Math.sqrt(squares), compared);
  }

  double mean() {
    if (exact == null) {
      return 0;
    }
    double errors = 0;
    for (int r = 0; r < exact.rows(); r++) {
      for (int c = 0; c < exact.columns(); c++) {
        errors += exact.error(r, c);
      }
    }
    return Tolerance.bound(errors / ((double) exact.rows() * exact.columns()), compared);
  }

  double rms() {
    if (exact == null) {
      return 0;
    }
    double errors = 0;
    double squares = 0;
    for (int r = 0; r < exact.rows(); r++) {
      for (int c = 0; c < exact.columns(); c++) {
        double x = exact.value(r, c);
        errors += Math.abs(x) * exact.error(r, c);
        squares += x * x;
      }
    }
    double n = (double) exact.rows() * exact.columns();
    return squares == 0 ? 0 : Tolerance.bound(errors / (n * Math.sqrt(squares / n)), compared);
  }
}

package dev.moxie.verifier.diagnosis;

import java.util.function.DoubleUnaryOperator;

/** Looks for the factor at which a difference is smallest. */
final class Fit {
  private static final double GOLDEN = (Math.sqrt(5) - 1) / 2;

  /** Narrowings to about the square root of double precision, beyond which a minimum is flat. */
  private static final int ROUNDS = 40;

  private Fit() {}

  /**
   * The best of a range of positive factors: the best point of a grid that is even in logarithms,
   * then golden-section search between its neighbours.
   *
   * @param points of the grid, at least two
   */
  static double factor(double from, double to, int points, DoubleUnaryOperator difference) {
    double step = (Math.log(to) - Math.log(from)) / (points - 1);
    int best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int i = 0; i < points; i++) {
      double value = difference.applyAsDouble(Math.exp(Math.log(from) + i * step));
      if (value < least) {
        least = value;
        best = i;
      }
    }
    double low = Math.log(from) + (best - 1) * step;
    double high = low + 2 * step;
    double left = high - GOLDEN * (high - low);
    double right = low + GOLDEN * (high - low);
    double atLeft = difference.applyAsDouble(Math.exp(left));
    double atRight = difference.applyAsDouble(Math.exp(right));
    for (int i = 0; i < ROUNDS; i++) {
      if (atLeft < atRight) {
        high = right;
        right = left;
        atRight = atLeft;
        left = high - GOLDEN * (high - low);
        atLeft = difference.applyAsDouble(Math.exp(left));
      } else {
        low = left;
        left = right;
        atLeft = atRight;
        right = low + GOLDEN * (high - low);
        atRight = difference.applyAsDouble(Math.exp(right));
      }
    }
    return Math.exp((low + high) / 2);
  }
}

package dev.moxie.verifier.diagnosis;

import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;

/** How far a supposition is from the reference, as a number to make small. */
final class Difference {
  private Difference() {}

  /** Sum of squares of a step's differences. */
  static double of(LayerInside inside, Oracle oracle, String step) {
    return of(inside.compute(oracle, step), inside.expected(oracle, step));
  }

  static double of(Estimate actual, Estimate expected) {
    double sum = 0;
    for (double difference : values(actual, expected)) {
      sum += difference * difference;
    }
    return sum;
  }

  /** Every difference, row by row. */
  static double[] values(Estimate actual, Estimate expected) {
    double[] values = new double[actual.rows() * actual.columns()];
    for (int i = 0; i < values.length; i++) {
      int row = i / actual.columns();
      int column = i % actual.columns();
      values[i] = actual.value(row, column) - expected.value(row, column);
    }
    return values;
  }

  /**
   * By which factor what one side adds to a base is nearest to what the other adds: the quotient of
   * least squares.
   */
  static double quotient(Estimate actual, Estimate expected, Estimate base) {
    double product = 0;
    double square = 0;
    for (int r = 0; r < actual.rows(); r++) {
      for (int c = 0; c < actual.columns(); c++) {
        double added = actual.value(r, c) - base.value(r, c);
        product += added * (expected.value(r, c) - base.value(r, c));
        square += added * added;
      }
    }
    return product / square;
  }

  /** The same without a base. */
  static double quotient(Estimate actual, Estimate expected) {
    return quotient(actual, expected, Estimate.zeros(actual.rows(), actual.columns()));
  }

  /** A fitted factor that says something: none that is no number, zero, or one to rounding. */
  static boolean tells(double factor, Precision precision) {
    return Double.isFinite(factor) && Double.isFinite(1 / factor) && !isOne(factor, precision);
  }

  /** Whether rounding may have made a fitted factor of one. */
  static boolean isOne(double factor, Precision precision) {
    return Math.abs(factor - 1) < Math.max(1e-4, 16 * precision.roundoff());
  }
}

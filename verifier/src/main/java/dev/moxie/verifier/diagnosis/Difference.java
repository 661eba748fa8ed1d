package dev.moxie.verifier.diagnosis;

import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Forced;
import dev.moxie.verifier.oracle.Forced.Stage;
import dev.moxie.verifier.oracle.Precision;
import org.jspecify.annotations.Nullable;

/** How far a supposition is from the reference, as a number to make small. */
final class Difference {
  private Difference() {}

  /** Sum of squares of a stage's differences. */
  static double of(Forced layer, Stage stage) {
    double[] differences = values(layer, stage);
    return LeastSquares.dot(differences, differences);
  }

  /** Every difference, row by row. */
  static double[] values(Forced layer, Stage stage) {
    Estimate actual = layer.computed(stage);
    Estimate expected = layer.recorded(stage);
    double[] values = new double[actual.rows() * actual.columns()];
    for (int i = 0; i < values.length; i++) {
      int row = i / actual.columns();
      int column = i % actual.columns();
      values[i] = actual.value(row, column) - expected.value(row, column);
    }
    return values;
  }

  /**
   * By which factor what a stage adds to a base is nearest to what was recorded: the quotient of
   * least squares.
   *
   * @param base null for nothing
   */
  static double quotient(Forced layer, Stage stage, @Nullable Estimate base) {
    Estimate actual = layer.computed(stage);
    Estimate expected = layer.recorded(stage);
    double product = 0;
    double square = 0;
    for (int r = 0; r < actual.rows(); r++) {
      for (int c = 0; c < actual.columns(); c++) {
        double from = base == null ? 0 : base.value(r, c);
        double added = actual.value(r, c) - from;
        product += added * (expected.value(r, c) - from);
        square += added * added;
      }
    }
    return product / square;
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

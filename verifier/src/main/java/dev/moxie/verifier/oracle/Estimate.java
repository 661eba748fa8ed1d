package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Limits;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/**
 * A matrix of values in double precision, each with the standard deviation of the error that an
 * implementation of lower precision may have made on the way to it.
 */
public final class Estimate {
  /** Of what some JVMs allow. */
  private static final int LARGEST = Integer.MAX_VALUE - 8;

  private final int rows;
  private final int columns;
  private final double[] values;
  private final double[] errors;

  /** Rows to which nothing can be held. */
  private BitSet left = new BitSet();

  Estimate(int rows, int columns) {
    this.rows = rows;
    this.columns = columns;
    this.values = new double[Limits.elements("an estimate", LARGEST, rows, columns)];
    this.errors = new double[values.length];
  }

  /** A matrix that every implementation is given, hence without error. */
  public static Estimate exact(float[] values, int columns) {
    return uniform(values, columns, 0);
  }

  /** A matrix all of whose values may be off alike. */
  public static Estimate uniform(float[] values, int columns, double error) {
    var estimate = new Estimate(values.length / columns, columns);
    for (int i = 0; i < values.length; i++) {
      estimate.values[i] = values[i];
      estimate.errors[i] = error;
    }
    return estimate;
  }

  /** Numbers of experts, one row per token; all rows are of one length. */
  static Estimate of(List<int[]> experts) {
    var estimate = new Estimate(experts.size(), experts.isEmpty() ? 0 : experts.getFirst().length);
    for (int t = 0; t < estimate.rows; t++) {
      for (int i = 0; i < estimate.columns; i++) {
        estimate.set(t, i, experts.get(t)[i], 0);
      }
    }
    return estimate;
  }

  /** Nothing, exactly. */
  public static Estimate zeros(int rows, int columns) {
    return new Estimate(rows, columns);
  }

  /** Ones, exactly. */
  static Estimate ones(int rows, int columns) {
    var estimate = new Estimate(rows, columns);
    Arrays.fill(estimate.values, 1);
    return estimate;
  }

  /**
   * What a multiple of another matrix was added to, where an implementation recorded only the sum.
   */
  Estimate minus(Estimate other, double factor, Precision precision) {
    var result = new Estimate(rows, columns);
    for (int i = 0; i < values.length; i++) {
      result.values[i] = values[i] - factor * other.values[i];
      result.errors[i] = precision.roundoff() * Math.abs(values[i]);
    }
    return result;
  }

  public int rows() {
    return rows;
  }

  public int columns() {
    return columns;
  }

  public double value(int row, int column) {
    return values[row * columns + column];
  }

  public double error(int row, int column) {
    return errors[row * columns + column];
  }

  /** The same numbers, to some rows of which nothing can be held. */
  Estimate without(BitSet rowsLeft) {
    if (rowsLeft.isEmpty()) {
      return this;
    }
    Estimate result = beginning(rows);
    result.left = (BitSet) rowsLeft.clone();
    return result;
  }

  /** Whether something can be held to a row. */
  public boolean holds(int row) {
    return !left.get(row);
  }

  /** The values, rounded to float32, row-major. */
  public float[] toFloats() {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }

  /** Whether some value of a row is not 0. */
  public boolean hasAny(int row) {
    return IntStream.range(0, columns).anyMatch(column -> value(row, column) != 0);
  }

  /** Largest magnitude of any value; NaN if one is no number. */
  public double largest() {
    double largest = 0;
    for (double value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  }

  /** Whether every value and every error is a finite number. */
  public boolean isFinite() {
    return DoubleStream.concat(Arrays.stream(values), Arrays.stream(errors))
        .allMatch(Double::isFinite);
  }

  /**
   * Largest error of any row as a part of it: of both, the root of the sum of squares. Rows of
   * nothing but zeros do not count.
   */
  public double largestRelativeError() {
    double largest = 0;
    for (int row = 0; row < rows; row++) {
      double value = 0;
      double error = 0;
      for (int column = 0; column < columns; column++) {
        value = Math.hypot(value, value(row, column));
        error = Math.hypot(error, error(row, column));
      }
      largest = value == 0 ? largest : Math.max(largest, error / value);
    }
    return largest;
  }

  void set(int row, int column, double value, double error) {
    values[row * columns + column] = value;
    errors[row * columns + column] = error;
  }

  void add(int row, int column, double value, double error) {
    int i = row * columns + column;
    values[i] += value;
    errors[i] = Math.hypot(errors[i], error);
  }

  /** As many rows from the beginning. */
  public Estimate beginning(int count) {
    var beginning = new Estimate(count, columns);
    for (int row = 0; row < count; row++) {
      beginning.copyRow(this, row, row);
    }
    return beginning;
  }

  /** Some columns, from the first on. */
  Estimate part(int first, int count) {
    var part = new Estimate(rows, count);
    part.copy(this, first, count, 0);
    return part;
  }

  /** Takes over columns of another matrix of as many rows. */
  void copy(Estimate from, int first, int count, int to) {
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < count; c++) {
        set(r, to + c, from.value(r, first + c), from.error(r, first + c));
      }
    }
  }

  /** The same values, each with the larger of both errors. */
  Estimate withErrorsOf(Estimate other) {
    return withErrorsAtLeast(other.errors);
  }

  /** Values moved by a normal sample of their errors, and taken for exact. */
  Estimate sample(Random random) {
    var result = new Estimate(rows, columns);
    for (int i = 0; i < values.length; i++) {
      result.values[i] = values[i] + errors[i] * random.nextGaussian();
    }
    return result;
  }

  /** Adds the square of each value's difference from another's. */
  void addSquares(Estimate other, double[] squares) {
    for (int i = 0; i < squares.length; i++) {
      double difference = values[i] - other.values[i];
      squares[i] += difference * difference;
    }
  }

  /** The same values, with another matrix's errors where those are larger. */
  Estimate withErrorsAtLeast(double[] other) {
    var result = new Estimate(rows, columns);
    for (int i = 0; i < values.length; i++) {
      result.values[i] = values[i];
      result.errors[i] = Math.max(errors[i], other[i]);
    }
    return result;
  }

  /** The same values, each with an error that follows from it. */
  Estimate withErrors(DoubleUnaryOperator error) {
    var result = new Estimate(rows, columns);
    for (int i = 0; i < values.length; i++) {
      result.values[i] = values[i];
      result.errors[i] = error.applyAsDouble(values[i]);
    }
    return result;
  }

  /** The same values, each with one more error beside its own. */
  Estimate withErrorsBeside(double error) {
    var result = new Estimate(rows, columns);
    for (int i = 0; i < values.length; i++) {
      result.values[i] = values[i];
      result.errors[i] = Math.hypot(errors[i], error);
    }
    return result;
  }

  /** The same values, with another matrix's errors beside their own. */
  public Estimate withErrorsBeside(Estimate other) {
    var result = new Estimate(rows, columns);
    for (int i = 0; i < values.length; i++) {
      result.values[i] = values[i];
      result.errors[i] = Math.hypot(errors[i], other.errors[i]);
    }
    return result;
  }

  /** The same numbers in rows of another length. */
  Estimate folded(int otherColumns) {
    var result = new Estimate(values.length / otherColumns, otherColumns);
    System.arraycopy(values, 0, result.values, 0, values.length);
    System.arraycopy(errors, 0, result.errors, 0, errors.length);
    return result;
  }

  /** Takes over a row of another matrix of as many columns. */
  void copyRow(Estimate from, int row, int to) {
    for (int c = 0; c < columns; c++) {
      set(to, c, from.value(row, c), from.error(row, c));
    }
  }
}

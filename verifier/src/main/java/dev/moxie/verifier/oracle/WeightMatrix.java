package dev.moxie.verifier.oracle;

import java.util.Arrays;
import java.util.List;
import java.util.function.DoubleUnaryOperator;
import java.util.function.IntBinaryOperator;
import java.util.function.IntUnaryOperator;

/** A matrix of weights, read row by row in double precision. */
public interface WeightMatrix {
  int rows();

  int columns();

  /** Reads one row, [columns]. */
  void read(int row, double[] into);

  /**
   * Standard deviation by which an element may differ from the one that a reference computed with:
   * 0 where that is the same number.
   */
  double roundingOf(int row, int column, double value);

  /** The same for each element of a row that was read. */
  default void roundings(int row, double[] values, double[] into) {
    for (int c = 0; c < values.length; c++) {
      into[c] = roundingOf(row, c, values[c]);
    }
  }

  /** How much an element may differ. */
  @FunctionalInterface
  interface Rounding {
    double of(int row, int column, double value);
  }

  /** Whether that is 0 for every element. */
  default boolean isExact() {
    return false;
  }

  /** How a row is read. */
  @FunctionalInterface
  interface Reading {
    void read(int row, double[] into);
  }

  /** One row of these elements, exactly. */
  static WeightMatrix vector(double[] elements) {
    return new Changed(
        1,
        elements.length,
        (row, into) -> System.arraycopy(elements, 0, into, 0, elements.length),
        (row, column, value) -> 0,
        true);
  }

  /** Rows of whole numbers. */
  static WeightMatrix ids(List<int[]> rows) {
    return new Changed(
        rows.size(),
        rows.getFirst().length,
        (row, into) -> Arrays.setAll(into, i -> rows.get(row)[i]),
        (row, column, value) -> 0,
        true);
  }

  /** A row of ones. */
  static WeightMatrix ones(int columns) {
    double[] ones = new double[columns];
    Arrays.fill(ones, 1);
    return vector(ones);
  }

  /** Every element times a factor. */
  default WeightMatrix times(double factor) {
    return each(element -> element * factor);
  }

  /** Every element plus a number. */
  default WeightMatrix plus(double summand) {
    return each(element -> element + summand);
  }

  private WeightMatrix each(DoubleUnaryOperator change) {
    return changed(
        (row, into) -> {
          read(row, into);
          for (int c = 0; c < into.length; c++) {
            into[c] = change.applyAsDouble(into[c]);
          }
        });
  }

  /** The same rows in another order: row r is the given one of this matrix. */
  default WeightMatrix reordered(IntUnaryOperator source) {
    return changed((row, into) -> read(source.applyAsInt(row), into));
  }

  /** The same columns in another order: column c is the given one of this matrix. */
  default WeightMatrix withColumns(IntUnaryOperator source) {
    return changed(
        (row, into) -> {
          read(row, into);
          double[] old = into.clone();
          for (int c = 0; c < into.length; c++) {
            into[c] = old[source.applyAsInt(c)];
          }
        });
  }

  /**
   * As many rows of two matrices, one below the other, as the upper one has.
   *
   * @param source of a row, and how many the upper matrix has, to a row of both
   */
  static WeightMatrix dealt(WeightMatrix upper, WeightMatrix lower, IntBinaryOperator source) {
    int rows = upper.rows();
    return upper.changed(
        (row, into) -> {
          int from = source.applyAsInt(row, rows);
          (from < rows ? upper : lower).read(from % rows, into);
        });
  }

  /** Columns for rows. */
  default WeightMatrix transposed() {
    double[][] elements = new double[rows()][columns()];
    for (int r = 0; r < elements.length; r++) {
      read(r, elements[r]);
    }
    Reading down =
        (row, into) -> {
          for (int c = 0; c < into.length; c++) {
            into[c] = elements[c][row];
          }
        };
    return new Changed(
        columns(), rows(), down, (row, column, value) -> roundingOf(column, row, value), isExact());
  }

  private WeightMatrix changed(Reading reading) {
    return new Changed(rows(), columns(), reading, this::roundingOf, isExact());
  }

  /** What another matrix becomes; its elements differ as much as those in their place did. */
  record Changed(int rows, int columns, Reading reading, Rounding rounding, boolean isExact)
      implements WeightMatrix {
    @Override
    public void read(int row, double[] into) {
      reading.read(row, into);
    }

    @Override
    public double roundingOf(int row, int column, double value) {
      return rounding.of(row, column, value);
    }
  }
}

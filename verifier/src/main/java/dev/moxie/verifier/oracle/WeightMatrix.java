package dev.moxie.verifier.oracle;

import java.util.Arrays;
import java.util.Objects;
import java.util.function.IntBinaryOperator;
import java.util.function.IntUnaryOperator;

/** A matrix of weights, read row by row in double precision. */
public interface WeightMatrix {
  int rows();

  int columns();

  /** Reads one row, [columns]. */
  void read(int row, double[] into);

  /**
   * Standard deviation by which an element of this value may differ from the one that a reference
   * computed with: 0 where that is the same number.
   */
  double roundingOf(double value);

  /** One row of these elements, exactly. */
  static WeightMatrix vector(double[] elements) {
    return new WeightMatrix() {
      @Override
      public int rows() {
        return 1;
      }

      @Override
      public int columns() {
        return elements.length;
      }

      @Override
      public void read(int row, double[] into) {
        System.arraycopy(elements, 0, into, 0, elements.length);
      }

      @Override
      public double roundingOf(double value) {
        return 0;
      }
    };
  }

  /** A row of ones. */
  static WeightMatrix ones(int columns) {
    double[] ones = new double[columns];
    Arrays.fill(ones, 1);
    return vector(ones);
  }

  /** Every element times a factor. */
  default WeightMatrix times(double factor) {
    return new Changed(this, rows(), columns()) {
      @Override
      public void read(int row, double[] into) {
        of.read(row, into);
        for (int c = 0; c < into.length; c++) {
          into[c] *= factor;
        }
      }
    };
  }

  /** Every element plus a number. */
  default WeightMatrix plus(double summand) {
    return new Changed(this, rows(), columns()) {
      @Override
      public void read(int row, double[] into) {
        of.read(row, into);
        for (int c = 0; c < into.length; c++) {
          into[c] += summand;
        }
      }
    };
  }

  /** The same rows in another order: row r is the given one of this matrix. */
  default WeightMatrix reordered(IntUnaryOperator source) {
    return new Changed(this, rows(), columns()) {
      @Override
      public void read(int row, double[] into) {
        of.read(source.applyAsInt(row), into);
      }
    };
  }

  /** The same columns in another order: column c is the given one of this matrix. */
  default WeightMatrix withColumns(IntUnaryOperator source) {
    return new Changed(this, rows(), columns()) {
      @Override
      public void read(int row, double[] into) {
        of.read(row, into);
        double[] old = into.clone();
        for (int c = 0; c < into.length; c++) {
          into[c] = old[source.applyAsInt(c)];
        }
      }
    };
  }

  /**
   * As many rows of two matrices, one below the other, as the upper one has.
   *
   * @param source of a row, and how many the upper matrix has, to a row of both
   */
  static WeightMatrix dealt(WeightMatrix upper, WeightMatrix lower, IntBinaryOperator source) {
    int rows = upper.rows();
    return new Changed(upper, rows, upper.columns()) {
      @Override
      public void read(int row, double[] into) {
        int from = source.applyAsInt(row, rows);
        (from < rows ? upper : lower).read(from % rows, into);
      }
    };
  }

  /** Columns for rows. */
  default WeightMatrix transposed() {
    double[][] elements = new double[rows()][columns()];
    for (int r = 0; r < elements.length; r++) {
      read(r, elements[r]);
    }
    return new Changed(this, columns(), rows()) {
      @Override
      public void read(int row, double[] into) {
        for (int c = 0; c < into.length; c++) {
          into[c] = elements[c][row];
        }
      }
    };
  }

  /** What another matrix becomes. */
  abstract class Changed implements WeightMatrix {
    final WeightMatrix of;
    private final int rows;
    private final int columns;

    Changed(WeightMatrix of, int rows, int columns) {
      this.of = Objects.requireNonNull(of);
      this.rows = rows;
      this.columns = columns;
    }

    @Override
    public final int rows() {
      return rows;
    }

    @Override
    public final int columns() {
      return columns;
    }

    @Override
    public final double roundingOf(double value) {
      return of.roundingOf(value);
    }
  }
}

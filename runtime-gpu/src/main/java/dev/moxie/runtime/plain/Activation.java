package dev.moxie.runtime.plain;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Limits;
import java.util.Arrays;

/** Float32 numbers of some tokens, [rows, columns], row-major. */
public final class Activation {
  /** Of what some JVMs allow. */
  private static final int LARGEST = Integer.MAX_VALUE - 8;

  private final int rows;
  private final int columns;
  private final float[] values;

  /**
   * Zeros.
   *
   * @throws UnsupportedException if one array cannot hold them
   */
  Activation(int rows, int columns) {
    this(rows, columns, new float[Limits.elements("an activation", LARGEST, rows, columns)]);
  }

  private Activation(int rows, int columns, float[] values) {
    this.rows = rows;
    this.columns = columns;
    this.values = values;
  }

  /** An array that the caller leaves as it is, [rows · columns]. */
  public static Activation of(float[] values, int columns) {
    return new Activation(values.length / columns, columns, values);
  }

  public int rows() {
    return rows;
  }

  public int columns() {
    return columns;
  }

  /** The numbers themselves, [rows · columns]. */
  public float[] values() {
    return values;
  }

  /** One of them. */
  public float at(int row, int column) {
    return values[row * columns + column];
  }

  void set(int row, int column, double value) {
    values[row * columns + column] = (float) value;
  }

  Activation copy() {
    return new Activation(rows, columns, values.clone());
  }

  /** A copy, columns for rows. */
  float[] transposed() {
    float[] copy = new float[values.length];
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        copy[column * rows + row] = at(row, column);
      }
    }
    return copy;
  }

  /** A copy of one row. */
  public float[] row(int row) {
    return Arrays.copyOfRange(values, row * columns, (row + 1) * columns);
  }
}

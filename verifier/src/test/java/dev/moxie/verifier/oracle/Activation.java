package dev.moxie.verifier.oracle;

import java.util.Arrays;

/** Float32 numbers of some tokens, [rows, columns], row-major. */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
record Activation(float[] values, int columns) {
  static Activation of(float[] values, int columns) {
    return new Activation(values, columns);
  }

  int rows() {
    return values.length / columns;
  }

  float at(int row, int column) {
    return values[row * columns + column];
  }

  float[] row(int row) {
    return Arrays.copyOfRange(values, row * columns, (row + 1) * columns);
  }
}

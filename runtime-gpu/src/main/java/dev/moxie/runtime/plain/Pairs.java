package dev.moxie.runtime.plain;

/** The order of columns of matrices that are {@link StoredMatrix#paired}. */
final class Pairs {
  private static final int GROUP = 2 * Lanes.COUNT;

  private Pairs() {}

  /** Where the number of a column stands. */
  static int place(int column) {
    int inside = column % GROUP;
    return column - inside + (inside % 2) * Lanes.COUNT + inside / 2;
  }

  /** Copies a row of whole groups into that order. */
  static void arrange(float[] from, int at, float[] to, int start, int count) {
    for (int group = 0; group < count; group += GROUP) {
      for (int i = 0; i < Lanes.COUNT; i++) {
        to[start + group + i] = from[at + group + 2 * i];
        to[start + group + Lanes.COUNT + i] = from[at + group + 2 * i + 1];
      }
    }
  }

  /** A row of a matrix in the order of its columns, whatever its own. */
  static void read(StoredMatrix matrix, int row, float[] into, int at, Scratch scratch) {
    if (!matrix.paired()) {
      matrix.read(row, into, at);
      return;
    }
    float[] pairs = scratch.of(Scratch.Room.PANEL, matrix.columns());
    matrix.read(row, pairs, 0);
    for (int c = 0; c < matrix.columns(); c++) {
      into[at + c] = pairs[place(c)];
    }
  }
}

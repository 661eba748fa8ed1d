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
}

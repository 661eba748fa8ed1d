package dev.moxie.runtime.plain;

/** A query against keys. */
final class Keys {
  private Keys() {}

  /**
   * Their products.
   *
   * @param q the query, [size] from {@code from} on
   * @param keys the first at {@code at}, the others {@code apart}
   * @param scores [count]
   */
  static void scores(
      float[] q,
      int from,
      int size,
      float[] keys,
      int at,
      int apart,
      int count,
      float[] scores,
      float[] lanes) {
    int j = 0;
    if (size % Lanes.COUNT == 0) {
      for (; j + Sums.ROWS <= count; j += Sums.ROWS) {
        Sums.rows(keys, at + j * apart, apart, size, q, from, lanes);
        for (int i = 0; i < Sums.ROWS; i++) {
          scores[j + i] = Sums.fold(lanes, i * Lanes.COUNT);
        }
      }
    }
    for (; j < count; j++) {
      scores[j] = Sums.dot(keys, at + j * apart, q, from, size, lanes);
    }
  }
}

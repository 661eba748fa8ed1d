package dev.moxie.runtime.plain;

/** A query against keys. */
final class Keys {
  private Keys() {}

  /**
   * Their products.
   *
   * @param q the query, [size] from {@code from} on
   * @param keys by block ({@link Past.Layer#keys}), of which rows are {@code apart}
   * @param at where a key begins in its row
   * @param first the first key
   * @param scores [count]
   */
  static void scores(
      float[] q,
      int from,
      int size,
      float[][] keys,
      int at,
      int apart,
      int first,
      int count,
      float[] scores,
      float[] lanes) {
    int done = 0;
    while (done < count) {
      int row = (first + done) % Past.BLOCK;
      int some = Math.min(count - done, Past.BLOCK - row);
      float[] block = keys[(first + done) / Past.BLOCK];
      scores(q, from, size, block, row * apart + at, apart, some, scores, done, lanes);
      done += some;
    }
  }

  private static void scores(
      float[] q,
      int from,
      int size,
      float[] keys,
      int at,
      int apart,
      int count,
      float[] scores,
      int to,
      float[] lanes) {
    int j = 0;
    if (size % Lanes.COUNT == 0) {
      for (; j + Sums.ROWS <= count; j += Sums.ROWS) {
        Sums.rows(keys, at + j * apart, apart, size, q, from, lanes);
        for (int i = 0; i < Sums.ROWS; i++) {
          scores[to + j + i] = Sums.fold(lanes, i * Lanes.COUNT);
        }
      }
    }
    for (; j < count; j++) {
      scores[to + j] = Sums.dot(keys, at + j * apart, q, from, size, lanes);
    }
  }
}

package dev.moxie.verifier.baseline;

/**
 * The ±1 vectors of random projections, the same on every machine: another one for each token and
 * projection. Sign i of a vector is bit i mod 64 of word i div 64, and word w of vector v is output
 * v · 2³² + w of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
 * Generators", OOPSLA 2014) with seed 0; a set bit is −1.
 */
final class Signs {
  /** Projections of each row. */
  static final int PROJECTIONS = 2;

  private Signs() {}

  /** Σ s_i x_i over one row of a matrix, s being the signs of the row's token. */
  static double project(float[] values, int columns, int row, int projection) {
    long vector = (long) row * PROJECTIONS + projection;
    double sum = 0;
    long word = 0;
    for (int c = 0; c < columns; c++) {
      if (c % Long.SIZE == 0) {
        word = output((vector << 32) + c / Long.SIZE);
      }
      double x = values[row * columns + c];
      sum += (word >>> c & 1) == 0 ? x : -x;
    }
    return sum;
  }

  /** Output number {@code counter}, from 0, of SplitMix64 with seed 0. */
  static long output(long counter) {
    long z = (counter + 1) * 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}

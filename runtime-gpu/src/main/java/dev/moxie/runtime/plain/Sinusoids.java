package dev.moxie.runtime.plain;

import dev.moxie.format.model.Architecture;

/** What positions have in embeddings ({@link Architecture.Sinusoids}). */
final class Sinusoids {
  private final Architecture.Sinusoids positions;
  private final double[] frequencies;

  Sinusoids(Architecture.Sinusoids positions, int width) {
    this.positions = positions;
    this.frequencies = new double[width / 2];
    for (int n = 0; n < frequencies.length; n++) {
      frequencies[n] = StrictMath.pow(10000, -n / (frequencies.length - 1.0));
    }
  }

  /** Whether every token has a position. */
  boolean all() {
    return positions.padding() == null;
  }

  /** Whether a token has a position. */
  boolean counts(long id) {
    return positions.padding() == null || id != positions.padding();
  }

  /** Adds what the token has that so many with a position come before. */
  void add(int before, float[] x, int at) {
    double position = positions.first() + (double) before;
    for (int n = 0; n < frequencies.length; n++) {
      x[at + n] += (float) StrictMath.sin(position * frequencies[n]);
      x[at + frequencies.length + n] += (float) StrictMath.cos(position * frequencies[n]);
    }
  }
}

package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Rotary;

/** By how much a position turns each pair, as {@link Rotary} states it. */
final class Frequencies {
  private Frequencies() {}

  /** The angle per position of a pair. */
  static double of(Rotary rotary, int pair) {
    double frequency = Math.pow(rotary.theta(), -2.0 * pair / rotary.dimensions());
    Rotary.Yarn yarn = rotary.yarn();
    if (yarn == null) {
      return frequency;
    }
    double low = Math.max(0, Math.floor(pairTurning(rotary, yarn.betaFast())));
    double high =
        Math.min(rotary.dimensions() - 1, Math.ceil(pairTurning(rotary, yarn.betaSlow())));
    double width = high == low ? 0.001 : high - low;
    double ramp = Math.clamp((pair - low) / width, 0.0, 1.0);
    return frequency * (1 - ramp + ramp / yarn.factor());
  }

  private static double pairTurning(Rotary rotary, double turns) {
    Rotary.Yarn yarn = java.util.Objects.requireNonNull(rotary.yarn());
    double length = yarn.originalPositions() / (2 * Math.PI * turns);
    return rotary.dimensions() * Math.log(length) / (2 * Math.log(rotary.theta()));
  }

  /**
   * How many unit roundoffs an angle may be off, relative to itself: exponent x = 2i/dimensions,
   * power, reciprocal and angle are each rounded before cosine and sine are taken, which gives 3 +
   * x ln theta; a ramp between two frequencies rounds its weight, both products and their sum
   * besides.
   */
  static double roundings(Rotary rotary, int pair) {
    double exponent = 2.0 * pair / rotary.dimensions();
    return 3 + exponent * Math.abs(Math.log(rotary.theta())) + (rotary.yarn() == null ? 0 : 4);
  }
}

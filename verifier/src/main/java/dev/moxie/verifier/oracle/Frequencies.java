package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Rotary;

/** By how much a position turns each pair, as {@link Rotary} states it. */
final class Frequencies {
  private Frequencies() {}

  /** The angle per position of a pair. */
  static double of(Rotary rotary, int pair) {
    double frequency = Math.pow(rotary.theta(), -2.0 * pair / rotary.dimensions());
    return switch (rotary.scaling()) {
      case Rotary.Linear linear -> frequency / linear.factor();
      case Rotary.Llama3 llama -> frequency * slowed(llama, frequency);
      case Rotary.Yarn yarn -> {
        double ramp = ramp(rotary, yarn, pair);
        yield frequency * (1 - ramp + ramp / yarn.factor());
      }
      case Rotary.Proportional some -> pair < some.pairs() ? frequency : 0;
      case Rotary.LongRope rope -> frequency / rope.factors().get(pair);
      case null -> frequency;
    };
  }

  private static double slowed(Rotary.Llama3 llama, double frequency) {
    double turns = turns(llama, frequency);
    double width = llama.highFrequency() - llama.lowFrequency();
    double kept =
        turns <= llama.lowFrequency()
            ? 0
            : turns >= llama.highFrequency() ? 1 : (turns - llama.lowFrequency()) / width;
    return kept + (1 - kept) / llama.factor();
  }

  private static double turns(Rotary.Llama3 llama, double frequency) {
    return llama.originalPositions() * frequency / (2 * Math.PI);
  }

  /**
   * By how many times its own relative error that of a frequency f grows on the ramp: with s what f
   * is multiplied by and t its turns, t · s'(t) / s(t), where s' = (1 − 1/factor) / (high − low).
   */
  private static double steepness(Rotary.Llama3 llama, double frequency) {
    double turns = turns(llama, frequency);
    if (turns <= llama.lowFrequency() || turns >= llama.highFrequency()) {
      return 0;
    }
    double slope = (1 - 1 / llama.factor()) / (llama.highFrequency() - llama.lowFrequency());
    return turns * Math.abs(slope) / slowed(llama, frequency);
  }

  private static double ramp(Rotary rotary, Rotary.Yarn yarn, int pair) {
    double fast = pairTurning(rotary, yarn, yarn.betaFast());
    double slow = pairTurning(rotary, yarn, yarn.betaSlow());
    double low = Math.max(0, yarn.exactBounds() ? fast : Math.floor(fast));
    double high = Math.min(rotary.dimensions() - 1, yarn.exactBounds() ? slow : Math.ceil(slow));
    double width = high == low ? 0.001 : high - low;
    return Math.clamp((pair - low) / width, 0.0, 1.0);
  }

  private static double pairTurning(Rotary rotary, Rotary.Yarn yarn, double turns) {
    double length = yarn.originalPositions() / (2 * Math.PI * turns);
    return rotary.dimensions() * Math.log(length) / (2 * Math.log(rotary.theta()));
  }

  /**
   * How many unit roundoffs an angle may be off, relative to itself: exponent x = 2i/dimensions,
   * power, reciprocal and angle are each rounded before cosine and sine are taken, which gives 3 +
   * x ln theta; a ramp between two frequencies rounds its weight, both products and their sum
   * besides. Where the weight follows from the frequency, it takes along the error of that, and
   * those of the wavelength, of the turns and of 2π.
   */
  static double roundings(Rotary rotary, int pair) {
    double exponent = 2.0 * pair / rotary.dimensions();
    double power = exponent * Math.abs(Math.log(rotary.theta()));
    boolean plain = rotary.scaling() == null || rotary.scaling() instanceof Rotary.Proportional;
    double ramp = plain ? 0 : 4;
    if (rotary.scaling() instanceof Rotary.Llama3 llama) {
      double frequency = Math.pow(rotary.theta(), -exponent);
      ramp += steepness(llama, frequency) * (2 + power + 3);
    }
    return 3 + power + ramp;
  }
}

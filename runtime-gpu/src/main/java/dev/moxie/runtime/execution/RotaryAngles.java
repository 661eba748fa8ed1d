package dev.moxie.runtime.execution;

import dev.moxie.format.model.Rotary;

/**
 * Cosines and sines of rotary angles, in the float32 arithmetic of the reference implementation
 * (transformers {@code modeling_rope_utils.py}): frequency, angle and result are each rounded to
 * float32.
 */
final class RotaryAngles {
  private final float[] frequencies;
  private final float magnitude;

  RotaryAngles(Rotary rotary) {
    Rotary.Yarn yarn = rotary.yarn();
    magnitude = yarn == null ? 1 : (float) yarn.magnitude();
    frequencies = new float[rotary.dimensions() / 2];
    for (int i = 0; i < frequencies.length; i++) {
      float exponent = 2f * i / rotary.dimensions();
      float power = (float) Math.pow((float) rotary.theta(), exponent);
      frequencies[i] = yarn == null ? 1f / power : stretched(rotary, yarn, i, power);
    }
  }

  /** Between the frequency as it was and the one slowed by the factor, as YaRN ramps. */
  private static float stretched(Rotary rotary, Rotary.Yarn yarn, int pair, float power) {
    double low = Math.max(0, Math.floor(pairOf(rotary, yarn, yarn.betaFast())));
    double high =
        Math.min(rotary.dimensions() - 1, Math.ceil(pairOf(rotary, yarn, yarn.betaSlow())));
    if (low == high) {
      high += 0.001;
    }
    float slowed = Math.clamp((float) ((pair - (float) low) / (high - low)), 0f, 1f);
    return 1f / ((float) yarn.factor() * power) * slowed + 1f / power * (1 - slowed);
  }

  /** The pair that turns so many times over the original length. */
  private static double pairOf(Rotary rotary, Rotary.Yarn yarn, double turns) {
    return rotary.dimensions()
        * Math.log(yarn.originalPositions() / (turns * 2 * Math.PI))
        / (2 * Math.log(rotary.theta()));
  }

  int pairs() {
    return frequencies.length;
  }

  float cos(long position, int pair) {
    return (float) Math.cos((float) position * frequencies[pair]) * magnitude;
  }

  float sin(long position, int pair) {
    return (float) Math.sin((float) position * frequencies[pair]) * magnitude;
  }
}

package dev.moxie.runtime.plain;

import dev.moxie.format.model.Rotary;

/**
 * Cosines and sines of rotary angles, in the float32 arithmetic of the reference implementation
 * (transformers {@code modeling_rope_utils.py}): frequency, angle and result are each rounded to
 * float32.
 */
public final class RotaryAngles {
  private final float[] frequencies;
  private final float magnitude;

  public RotaryAngles(Rotary rotary) {
    magnitude = (float) rotary.magnitude();
    frequencies = new float[rotary.dimensions() / 2];
    for (int i = 0; i < frequencies.length; i++) {
      float exponent = 2f * i / rotary.dimensions();
      float power = (float) StrictMath.pow((float) rotary.theta(), exponent);
      frequencies[i] =
          switch (rotary.scaling()) {
            case null -> 1f / power;
            case Rotary.Linear linear -> 1f / power / (float) linear.factor();
            case Rotary.Llama3 llama -> slowed(llama, 1f / power);
            case Rotary.Proportional some -> i < some.pairs() ? 1f / power : 0;
            case Rotary.LongRope rope -> 1f / (rope.factors().get(i).floatValue() * power);
            case Rotary.Yarn yarn -> stretched(rotary, yarn, i, power);
          };
    }
  }

  private static float slowed(Rotary.Llama3 llama, float frequency) {
    float wavelength = 2 * (float) Math.PI / frequency;
    float length = llama.originalPositions();
    if (wavelength >= length / (float) llama.lowFrequency()) {
      return frequency / (float) llama.factor();
    }
    if (wavelength < length / (float) llama.highFrequency()
        || llama.highFrequency() == llama.lowFrequency()) {
      return frequency;
    }
    float kept =
        (length / wavelength - (float) llama.lowFrequency())
            / (float) (llama.highFrequency() - llama.lowFrequency());
    return (1 - kept) * frequency / (float) llama.factor() + kept * frequency;
  }

  /** Between the frequency as it was and the one slowed by the factor, as YaRN ramps. */
  private static float stretched(Rotary rotary, Rotary.Yarn yarn, int pair, float power) {
    double fast = pairOf(rotary, yarn, yarn.betaFast());
    double slow = pairOf(rotary, yarn, yarn.betaSlow());
    double low = Math.max(0, yarn.exactBounds() ? fast : Math.floor(fast));
    double high = Math.min(rotary.dimensions() - 1, yarn.exactBounds() ? slow : Math.ceil(slow));
    if (low == high) {
      high += 0.001;
    }
    float slowed = Math.clamp((float) ((pair - (float) low) / (high - low)), 0f, 1f);
    return 1f / ((float) yarn.factor() * power) * slowed + 1f / power * (1 - slowed);
  }

  /** The pair that turns so many times over the original length. */
  private static double pairOf(Rotary rotary, Rotary.Yarn yarn, double turns) {
    return rotary.dimensions()
        * StrictMath.log(yarn.originalPositions() / (turns * 2 * Math.PI))
        / (2 * StrictMath.log(rotary.theta()));
  }

  public int pairs() {
    return frequencies.length;
  }

  /** Cosines of positions one after the other, [count · pairs]. */
  public float[] cosines(int first, int count) {
    float[] all = new float[Math.multiplyExact(count, pairs())];
    for (int i = 0; i < all.length; i++) {
      all[i] = cos(first + i / pairs(), i % pairs());
    }
    return all;
  }

  /** Sines likewise. */
  public float[] sines(int first, int count) {
    float[] all = new float[Math.multiplyExact(count, pairs())];
    for (int i = 0; i < all.length; i++) {
      all[i] = sin(first + i / pairs(), i % pairs());
    }
    return all;
  }

  public float cos(long position, int pair) {
    return (float) StrictMath.cos((float) position * frequencies[pair]) * magnitude;
  }

  public float sin(long position, int pair) {
    return (float) StrictMath.sin((float) position * frequencies[pair]) * magnitude;
  }
}

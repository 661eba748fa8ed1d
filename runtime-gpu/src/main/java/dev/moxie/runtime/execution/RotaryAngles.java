package dev.moxie.runtime.execution;

import dev.moxie.format.model.Rotary;

/**
 * Cosines and sines of rotary angles, in the float32 arithmetic of the reference implementation
 * (transformers {@code modeling_rope_utils.py}): frequency, angle and result are each rounded to
 * float32.
 */
final class RotaryAngles {
  private final float[] frequencies;

  RotaryAngles(Rotary rotary) {
    frequencies = new float[rotary.dimensions() / 2];
    for (int i = 0; i < frequencies.length; i++) {
      float exponent = 2f * i / rotary.dimensions();
      frequencies[i] = 1f / (float) Math.pow((float) rotary.theta(), exponent);
    }
  }

  int pairs() {
    return frequencies.length;
  }

  float cos(long position, int pair) {
    return (float) Math.cos((float) position * frequencies[pair]);
  }

  float sin(long position, int pair) {
    return (float) Math.sin((float) position * frequencies[pair]);
  }
}

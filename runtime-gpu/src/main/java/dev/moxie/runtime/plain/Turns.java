package dev.moxie.runtime.plain;

import dev.moxie.format.model.Rotary;
import java.util.Arrays;

/** Cosines and sines of some tokens' positions, computed once for all layers. */
final class Turns {
  private final RotaryAngles angles;
  private final boolean halves;
  private float[] cos = new float[0];
  private float[] sin = new float[0];

  Turns(Rotary rotary) {
    angles = new RotaryAngles(rotary);
    halves = rotary.pairing() == Rotary.Pairing.HALVES;
  }

  /** Of the tokens from {@code first} on; those before it stay. */
  void compute(int[] positions, int first, int tokens) {
    int pairs = angles.pairs();
    if (cos.length < tokens * pairs) {
      cos = Arrays.copyOf(cos, tokens * pairs);
      sin = Arrays.copyOf(sin, tokens * pairs);
    }
    for (int i = first * pairs; i < tokens * pairs; i++) {
      cos[i] = angles.cos(positions[i / pairs], i % pairs);
      sin[i] = angles.sin(positions[i / pairs], i % pairs);
    }
  }

  /** Turns the dimensions of a head of a token. */
  void turn(int token, float[] x, int at) {
    int pairs = angles.pairs();
    for (int i = 0; i < pairs; i++) {
      int one = at + (halves ? i : 2 * i);
      int two = at + (halves ? i + pairs : 2 * i + 1);
      double a = x[one];
      double b = x[two];
      double c = cos[token * pairs + i];
      double s = sin[token * pairs + i];
      x[one] = (float) (a * c - b * s);
      x[two] = (float) (b * c + a * s);
    }
  }
}

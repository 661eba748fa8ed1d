package dev.moxie.runtime.plain;

import dev.moxie.format.model.Rotary;
import java.util.Arrays;

/**
 * Cosines and sines of positions, by block of them, computed when one of a block first comes and
 * then kept for all layers and sequences: far less than what a layer keeps of its tokens.
 */
final class Turns {
  private final RotaryAngles angles;
  private final boolean halves;
  private float[][] cos = new float[0][];
  private float[][] sin = new float[0][];

  Turns(Rotary rotary) {
    angles = new RotaryAngles(rotary);
    halves = rotary.pairing() == Rotary.Pairing.HALVES;
  }

  /** Has the block of a position computed. */
  void reserve(int position) {
    int block = position / Past.BLOCK;
    if (cos.length <= block) {
      cos = Arrays.copyOf(cos, block + 1);
      sin = Arrays.copyOf(sin, block + 1);
    }
    if (cos[block] == null) {
      cos[block] = angles.cosines(block * Past.BLOCK, Past.BLOCK);
      sin[block] = angles.sines(block * Past.BLOCK, Past.BLOCK);
    }
  }

  /** Turns the dimensions of a head of a token at a position that has been reserved. */
  void turn(int position, float[] x, int at) {
    turn(position, x, at, 1);
  }

  /** The same the other way. */
  void turnBack(int position, float[] x, int at) {
    turn(position, x, at, -1);
  }

  private void turn(int position, float[] x, int at, int way) {
    int pairs = angles.pairs();
    float[] cosines = cos[position / Past.BLOCK];
    float[] sines = sin[position / Past.BLOCK];
    int from = position % Past.BLOCK * pairs;
    for (int i = 0; i < pairs; i++) {
      int one = at + (halves ? i : 2 * i);
      int two = at + (halves ? i + pairs : 2 * i + 1);
      double a = x[one];
      double b = x[two];
      double c = cosines[from + i];
      double s = way * sines[from + i];
      x[one] = (float) (a * c - b * s);
      x[two] = (float) (b * c + a * s);
    }
  }
}

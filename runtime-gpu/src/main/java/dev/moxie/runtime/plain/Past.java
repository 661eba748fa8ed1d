package dev.moxie.runtime.plain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What layers keep of the tokens of one sequence. */
public final class Past {
  private static final int LEAST = 64;

  /** Of every token two rows: its keys and values, or its latent and the key of all heads. */
  private final List<Kept> layers = new ArrayList<>();

  private final int capacity;

  /**
   * An empty one.
   *
   * @param capacity tokens that there will be at most
   */
  public Past(int capacity) {
    this.capacity = capacity;
  }

  /** The rows of one layer, one after the other by position. */
  static final class Kept {
    private float[] keys = new float[0];
    private float[] values = new float[0];

    /** Of every key/value head, or latents. */
    float[] keys() {
      return keys;
    }

    /** Of those heads, or keys that all heads share. */
    float[] values() {
      return values;
    }

    private void reserve(int tokens, int keyWidth, int valueWidth) {
      keys = Arrays.copyOf(keys, Math.multiplyExact(tokens, keyWidth));
      values = Arrays.copyOf(values, Math.multiplyExact(tokens, valueWidth));
    }
  }

  /** The rows of a layer. */
  Kept layer(int layer) {
    while (layers.size() <= layer) {
      layers.add(new Kept());
    }
    return layers.get(layer);
  }

  /** Keeps the rows of a token. */
  void put(
      int layer,
      int position,
      float[] keys,
      int keyAt,
      int keyWidth,
      float[] values,
      int valueAt,
      int valueWidth) {
    Kept kept = layer(layer);
    if ((long) kept.keys.length < (position + 1L) * keyWidth) {
      // Twice as many as there are, so that few are copied often.
      int tokens = Math.max(Math.min(capacity, Math.max(LEAST, 2 * position)), position + 1);
      kept.reserve(tokens, keyWidth, valueWidth);
    }
    System.arraycopy(keys, keyAt, kept.keys, position * keyWidth, keyWidth);
    System.arraycopy(values, valueAt, kept.values, position * valueWidth, valueWidth);
  }
}

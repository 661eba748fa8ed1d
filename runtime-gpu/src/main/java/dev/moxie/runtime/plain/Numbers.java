package dev.moxie.runtime.plain;

import dev.moxie.format.model.FeedForward;

/** Functions of single numbers in float32. */
final class Numbers {
  /** ln 2 in two parts, the first with so few bits that its small multiples are exact. */
  private static final float LN2_HIGH = 0x1.62e4p-1f;

  private static final float LN2_LOW = 0x1.7f7d1cp-20f;
  private static final float LOG2_E = 0x1.715476p0f;

  /** Added and subtracted, it rounds to a whole number. */
  private static final float ROUND = 0x1.8p23f;

  private static final float LEAST = -87.33f;
  private static final float LARGEST = 88.72f;

  private Numbers() {}

  /**
   * e to the x, to about one unit in the last place, as 2ⁿ · eʳ with |r| at most half of ln 2 and
   * the Taylor series of eʳ; with the same bits on every machine, which the library's is not. What
   * is out of the range of normal numbers becomes the last one in it.
   */
  static float exp(float x) {
    float in = Math.min(Math.max(x, LEAST), LARGEST);
    float n = (in * LOG2_E + ROUND) - ROUND;
    float r = Math.fma(-n, LN2_LOW, Math.fma(-n, LN2_HIGH, in));
    float p = 0x1.a01a02p-13f;
    p = Math.fma(p, r, 0x1.6c16c2p-10f);
    p = Math.fma(p, r, 0x1.111112p-7f);
    p = Math.fma(p, r, 0x1.555556p-5f);
    p = Math.fma(p, r, 0x1.555556p-3f);
    p = Math.fma(p, r, 0.5f);
    p = Math.fma(p, r, 1f);
    p = Math.fma(p, r, 1f);
    // In two steps, since 2ⁿ alone may be no number where the product is one.
    int half = (int) n >> 1;
    return p * power(half) * power((int) n - half);
  }

  private static float power(int n) {
    return Float.intBitsToFloat((n + 127) << 23);
  }

  static float sigmoid(float x) {
    return 1 / (1 + exp(-x));
  }

  static float silu(float x) {
    return x * sigmoid(x);
  }

  static float clamped(FeedForward.Clamp clamp, float gate, float up) {
    float limit = (float) clamp.limit();
    float g = Math.min(gate, limit);
    float u = Math.clamp(up, -limit, limit);
    return g * sigmoid((float) clamp.sharpness() * g) * (u + (float) clamp.offset());
  }
}

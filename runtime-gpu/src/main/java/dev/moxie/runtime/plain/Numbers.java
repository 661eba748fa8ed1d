package dev.moxie.runtime.plain;

import dev.moxie.format.model.FeedForward;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Functions of numbers in float32. */
final class Numbers {
  /** ln 2 in two parts, the first with so few bits that its small multiples are exact. */
  private static final float LN2_HIGH = 0x1.62e4p-1f;

  private static final float LN2_LOW = 0x1.7f7d1cp-20f;
  private static final float LOG2_E = 0x1.715476p0f;

  /** Added and subtracted, it rounds to a whole number. */
  private static final float ROUND = 0x1.8p23f;

  private static final float LEAST = -87.33f;
  private static final float LARGEST = 88.72f;

  /** √(2/π) and the coefficient of the cube in GELU's approximation. */
  private static final float GELU_SLOPE = 0x1.988454p-1f;

  private static final float GELU_CUBE = 0.044715f;

  private static final float SMALL = 0.125f;

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

  /** So many numbers, each held below a limit: y = limit · tanh(x / limit). */
  static void cap(float[] x, int at, int count, float limit, float[] y, int to) {
    for (int i = 0; i < count; i++) {
      y[to + i] = limit * tanh(x[at + i] / limit);
    }
  }

  /** The same of some numbers. */
  static FloatVector exp(FloatVector x) {
    FloatVector in = x.max(LEAST).min(LARGEST);
    FloatVector n = in.mul(LOG2_E).add(ROUND).sub(ROUND);
    FloatVector minus = n.neg();
    FloatVector r = minus.fma(vector(LN2_LOW), minus.fma(vector(LN2_HIGH), in));
    FloatVector p = vector(0x1.a01a02p-13f);
    p = p.fma(r, vector(0x1.6c16c2p-10f));
    p = p.fma(r, vector(0x1.111112p-7f));
    p = p.fma(r, vector(0x1.555556p-5f));
    p = p.fma(r, vector(0x1.555556p-3f));
    p = p.fma(r, vector(0.5f));
    p = p.fma(r, vector(1f));
    p = p.fma(r, vector(1f));
    IntVector whole = (IntVector) n.convert(VectorOperators.F2I, 0);
    IntVector half = whole.lanewise(VectorOperators.ASHR, 1);
    return p.mul(power(half)).mul(power(whole.sub(half)));
  }

  private static FloatVector vector(float all) {
    return FloatVector.broadcast(Lanes.FLOATS, all);
  }

  private static FloatVector power(IntVector n) {
    return n.add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
  }

  private static float power(int n) {
    return Float.intBitsToFloat((n + 127) << 23);
  }

  /** ln(1 + eˣ). */
  static double softplus(double x) {
    return Math.max(x, 0) + StrictMath.log1p(StrictMath.exp(-Math.abs(x)));
  }

  static float sigmoid(float x) {
    return 1 / (1 + exp(-x));
  }

  static float silu(float x) {
    return x * sigmoid(x);
  }

  /** The same of some numbers. */
  static FloatVector silu(FloatVector x) {
    return x.mul(vector(1).div(exp(x.neg()).add(1)));
  }

  /** x/2 · (1 + tanh z) is x σ(2z). */
  static float gelu(float x) {
    float z = x * (-2 * GELU_SLOPE) * (x * x * GELU_CUBE + 1);
    return x * (1 / (1 + exp(z)));
  }

  /** The same of some numbers. */
  static FloatVector gelu(FloatVector x) {
    FloatVector z = x.mul(-2 * GELU_SLOPE).mul(x.mul(x).mul(GELU_CUBE).add(1));
    return x.mul(vector(1).div(exp(z).add(1)));
  }

  /** tanh x, which is odd; by the smaller of eˣ and e⁻ˣ, whose square is no infinity. */
  static float tanh(float x) {
    // Below, the difference of one and a number near one would leave few digits.
    if (Math.abs(x) < SMALL) {
      float square = x * x;
      float p = Math.fma(-0x1.ba1ba2p-5f, square, 0x1.111112p-3f);
      return x * Math.fma(square, Math.fma(square, p, -0x1.555556p-2f), 1);
    }
    float small = exp(-2 * Math.abs(x));
    return Math.copySign((1 - small) / (1 + small), x);
  }

  static float clamped(FeedForward.Clamp clamp, float gate, float up) {
    float limit = (float) clamp.limit();
    float g = Math.min(gate, limit);
    float u = Math.clamp(up, -limit, limit);
    return g * sigmoid((float) clamp.sharpness() * g) * (u + (float) clamp.offset());
  }
}

package dev.moxie.verifier.oracle;

/** Rounding to bfloat16, in double precision. */
public final class Bfloat16 {
  /** Bits after the point in a significand. */
  private static final int FRACTION_BITS = 7;

  private Bfloat16() {}

  /** The unit in the last place of a value that is no zero. */
  public static double ulp(double value) {
    int exponent = Math.max(Math.getExponent(value), Float.MIN_EXPONENT);
    return Math.scalb(1.0, exponent - FRACTION_BITS);
  }

  /** The nearest bfloat16, of two as near the one whose significand is even. */
  public static double round(double value) {
    if (value == 0 || Double.isNaN(value) || Double.isInfinite(value)) {
      return value;
    }
    double ulp = ulp(value);
    // What rounds up beyond the largest bfloat16 is 2¹²⁸, which the cast makes infinite.
    return (float) (Math.rint(value / ulp) * ulp);
  }
}

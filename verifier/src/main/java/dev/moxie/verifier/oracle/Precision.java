package dev.moxie.verifier.oracle;

import dev.moxie.format.safetensors.Dtype;

/**
 * The arithmetic of an implementation whose errors are estimated.
 *
 * <p>Sums of products in bfloat16 are accumulated in float32 and rounded once, as processors and
 * libraries do; so are softmax, norms and angles inside. In float16 some libraries accumulate as
 * they store, which is allowed for; {@link #MIXED} is of those that do not.
 */
public enum Precision {
  F32(Dtype.F32, 0x1p-24, 0x1p-24, Float.MIN_EXPONENT, 23),
  F16(Dtype.F16, 0x1p-11, 0x1p-11, -14, 10),
  /** float16 with sums accumulated in float32, as on graphics cards. */
  MIXED(Dtype.F16, 0x1p-11, 0x1p-24, -14, 10),
  BF16(Dtype.BF16, 0x1p-8, 0x1p-24, Float.MIN_EXPONENT, 7);

  /** Standard deviation of what is anywhere within half a unit, as likely as elsewhere. */
  private static final double UNIFORM = 1 / Math.sqrt(12);

  private final Dtype dtype;
  private final double roundoff;
  private final double accumulation;
  private final int minExponent;
  private final int fractionBits;

  Precision(Dtype dtype, double roundoff, double accumulation, int minExponent, int fractionBits) {
    this.dtype = dtype;
    this.roundoff = roundoff;
    this.accumulation = accumulation;
    this.minExponent = minExponent;
    this.fractionBits = fractionBits;
  }

  /** Of every stored result. */
  public Dtype dtype() {
    return dtype;
  }

  /** u, the unit roundoff of stored results. */
  public double roundoff() {
    return roundoff;
  }

  /** The unit roundoff inside sums of products. */
  double accumulation() {
    return accumulation;
  }

  /** The unit in the last place of a value that is no zero. */
  public double ulp(double value) {
    return powerOfTwo(exponentOfUlp(value));
  }

  private int exponentOfUlp(double value) {
    return Math.max(Math.getExponent(value), minExponent) - fractionBits;
  }

  /**
   * What {@link Math#scalb} gives, in a fraction of its time; no exponent here is beyond doubles.
   */
  private static double powerOfTwo(int exponent) {
    return Double.longBitsToDouble((long) (exponent + Double.MAX_EXPONENT) << 52);
  }

  /** The nearest value of this precision, of two as near the one whose significand is even. */
  public double round(double value) {
    if (value == 0 || Double.isNaN(value) || Double.isInfinite(value)) {
      return value;
    }
    double ulp = ulp(value);
    // What rounds up beyond the largest float is 2¹²⁸, which the cast makes infinite.
    return (float) (Math.rint(value / ulp) * ulp);
  }

  /**
   * Standard deviation of rounding a value below the smallest normal one; 0 where models have none
   * such, as in the range of float32.
   */
  double smallest() {
    return minExponent == Float.MIN_EXPONENT ? 0 : powerOfTwo(minExponent - fractionBits) * UNIFORM;
  }

  /** Standard deviation of rounding a value somewhere near: of one ulp, uniform, over √12. */
  double deviation(double value) {
    return value == 0 ? 0 : ulp(value) * UNIFORM;
  }

  /** The same of rounding this value: none where it is of this precision. */
  double roundedOff(double value) {
    int exponent = exponentOfUlp(value);
    double ulps = value * powerOfTwo(-exponent);
    return Math.rint(ulps) == ulps ? 0 : powerOfTwo(exponent) * UNIFORM;
  }
}

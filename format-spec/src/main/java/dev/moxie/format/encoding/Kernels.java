package dev.moxie.format.encoding;

/**
 * The inner loops of conversion. C2 makes vector instructions of a loop only if its arrays differ
 * in type or step alike, and if no value widens or narrows but by a cast that it knows: from int to
 * long and back, and from float16 to float. So bytes and shorts are taken two or four at a time, as
 * the lanes of an int or long, the first in the lowest bits. Loops of one element at a time took 3
 * (e4m3 to bf16) to 22 times (bf16 to float32) as long, on a shared Xeon with AVX-512, 2.8 GHz,
 * Temurin 25.
 */
final class Kernels {
  private static final float WITHOUT_FRACTION = 0x1.8p23f;

  private Kernels() {}

  /** From pairs of bf16 to pairs of float32. */
  static void widenBf16(int[] in, long[] out, int pairs) {
    for (int i = 0; i < pairs; i++) {
      long pair = in[i];
      out[i] = ((pair & 0xffff_0000L) << 32) | ((pair << 16) & 0xffff_0000L);
    }
  }

  /** From float16 to float32. */
  static void widenF16(short[] in, float[] out, int count) {
    for (int i = 0; i < count; i++) {
      out[i] = Float.float16ToFloat(in[i]);
    }
  }

  /** From pairs of float32 to pairs of bf16: to nearest, ties to even; NaN stays NaN. */
  static void narrowToBf16(long[] in, int[] out, int pairs) {
    for (int i = 0; i < pairs; i++) {
      long pair = in[i];
      long magnitude = pair & 0x7fff_ffff_7fff_ffffL;
      // The top bit of each lane that is above infinity.
      long nan = (magnitude + 0x007f_ffff_007f_ffffL) & 0x8000_0000_8000_0000L;
      long quiet = pair | (nan >>> 9);
      // Rounding a NaN could carry it into the sign or the next lane.
      long notNan = ~((nan >>> 15) - (nan >>> 31));
      long half = 0x0000_7fff_0000_7fffL + ((pair >>> 16) & 0x0000_0001_0000_0001L);
      long rounded = (quiet + (half & notNan)) & 0xffff_0000_ffff_0000L;
      out[i] = (int) ((rounded >>> 16) | (rounded >>> 32));
    }
  }

  /**
   * From e4m3, four to an int, to float16 of a 256th of the value. Both have a sign, an exponent
   * and a mantissa in this order, subnormals as well; the biases of the exponents differ by 8.
   */
  static void e4m3ToF16(int[] in, long[] out, int fours) {
    for (int i = 0; i < fours; i++) {
      long four = in[i] & 0xffff_ffffL;
      long two = (four | (four << 16)) & 0x0000_ffff_0000_ffffL;
      long code = (two | (two << 8)) & 0x00ff_00ff_00ff_00ffL;
      long magnitude = (code & 0x007f_007f_007f_007fL) << 7;
      long scaled = ((code & 0x0080_0080_0080_0080L) << 8) | magnitude;
      // Only the NaN, all ones, carries; it becomes 7e00, the quiet NaN with nothing more to say.
      long nan = (magnitude + 0x0080_0080_0080_0080L) & 0x4000_4000_4000_4000L;
      out[i] = (scaled | nan) & ~((nan >>> 6) | (nan >>> 7));
    }
  }

  /** Products of the values, given as a 256th in float16, and their scales, rounded once. */
  static void scale(short[] in, float[] scales, float[] out, int count) {
    for (int i = 0; i < count; i++) {
      out[i] = Float.float16ToFloat(in[i]) * 256 * scales[i];
    }
  }

  /**
   * The whole number nearest to each quotient, of two as near the even one, held between two
   * limits. Adding 1.5 · 2²³, beside which a float has no fraction, rounds so.
   */
  static void round(
      float[] in, int from, int to, float scale, float least, float most, float[] out) {
    for (int i = from; i < to; i++) {
      float held = Math.max(least, Math.min(most, in[i] / scale));
      out[i] = held + WITHOUT_FRACTION - WITHOUT_FRACTION;
    }
  }

  /** From bytes to products with their scales, rounded once. */
  static void scaleI8(byte[] in, float[] scales, float[] out, int count) {
    for (int i = 0; i < count; i++) {
      out[i] = in[i] * scales[i];
    }
  }

  /** From whole numbers of four bits, two to a byte, likewise. */
  static void scaleInt4(byte[] in, float[] scales, float[] out, int count) {
    for (int i = 0; i < count; i += 2) {
      int both = in[i / 2];
      out[i] = Int4Block.number(both) * scales[i];
      out[i + 1] = Int4Block.number(both >> 4) * scales[i + 1];
    }
  }

  /** From e2m1, two to a byte, to products with their scales, rounded once. */
  static void scaleE2m1(byte[] in, float[] scales, float[] out, int count) {
    for (int i = 0; i < count; i += 2) {
      int both = in[i / 2];
      out[i] = Mxfp4.number(both) * scales[i];
      out[i + 1] = Mxfp4.number(both >> 4) * scales[i + 1];
    }
  }
}

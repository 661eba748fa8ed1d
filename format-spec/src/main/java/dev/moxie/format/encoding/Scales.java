package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Stored scales; as float32 each of them is exact. */
public final class Scales {
  /** Of the exponents of e8m0 codes. */
  static final int BIAS = 127;

  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Scales() {}

  /** All scales of some bytes. */
  public static float[] all(MemorySegment bytes, Dtype dtype) {
    float[] scales = new float[Math.toIntExact(bytes.byteSize() * Byte.SIZE / dtype.bits())];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = get(bytes, dtype, i);
    }
    return scales;
  }

  /** One of them. */
  public static float get(MemorySegment bytes, Dtype dtype, long index) {
    return switch (dtype) {
      case F32 -> bytes.get(FLOAT, index * Float.BYTES);
      case BF16, F16 -> (float) Elements.get(bytes, dtype, index);
      case F8_E8M0, U8 -> powerOfTwo(bytes.get(ValueLayout.JAVA_BYTE, index));
      default -> throw new IllegalArgumentException("scales of " + dtype);
    };
  }

  /** The number of an e8m0 code, 2^(code − 127), of which all but the least are normal. */
  static float powerOfTwo(byte code) {
    return switch (code) {
      case -1 -> Float.NaN;
      case 0 -> 0x1p-127f;
      default -> Float.intBitsToFloat((code & 0xff) << 23);
    };
  }
}

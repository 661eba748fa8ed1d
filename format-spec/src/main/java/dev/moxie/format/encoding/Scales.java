package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Stored scales; as float32 each of them is exact. */
public final class Scales {
  static final int BIAS = 127;

  private Scales() {}

  /** All scales of some bytes. */
  public static float[] all(MemorySegment bytes, Dtype dtype) {
    float[] scales = new float[Math.toIntExact(bytes.byteSize() * Byte.SIZE / dtype.bits())];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = get(bytes, dtype, i);
    }
    return scales;
  }

  static float get(MemorySegment bytes, Dtype dtype, long index) {
    return switch (dtype) {
      case F32, BF16 -> (float) Elements.get(bytes, dtype, index);
      case F8_E8M0, U8 -> powerOfTwo(bytes.get(ValueLayout.JAVA_BYTE, index));
      default -> throw new IllegalArgumentException("scales of " + dtype);
    };
  }

  /** The number of an e8m0 code. */
  static float powerOfTwo(byte code) {
    return code == -1 ? Float.NaN : Math.scalb(1f, (code & 0xff) - BIAS);
  }
}

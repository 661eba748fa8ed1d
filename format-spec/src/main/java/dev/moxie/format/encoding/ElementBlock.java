package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * A few elements on their way from one dtype to another, in arrays that fit the first cache
 * together. What a method returns holds until the next call.
 */
public final class ElementBlock {
  /** The most elements. */
  static final int SIZE = 1024;

  private final short[] shorts = new short[SIZE];
  private final int[] ints = new int[SIZE / 2];
  private final long[] longs = new long[SIZE / 2];
  private final float[] floats = new float[SIZE];
  private final byte[] bytes = new byte[SIZE];

  // The bytes of these arrays, where elements of one array pass as pairs or fours of another.
  private final MemorySegment shortBytes = MemorySegment.ofArray(shorts);
  private final MemorySegment intBytes = MemorySegment.ofArray(ints);
  private final MemorySegment longBytes = MemorySegment.ofArray(longs);
  private final MemorySegment floatBytes = MemorySegment.ofArray(floats);

  ElementBlock() {
    if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
      throw new UnsupportedOperationException("elements convert on little-endian machines only");
    }
  }

  /** So many elements that begin at that byte, as float32. */
  MemorySegment decode(MemorySegment in, long at, int count, Dtype from) {
    long bytes = (long) count * from.bits() / Byte.SIZE;
    return switch (from) {
      case F32 -> {
        MemorySegment.copy(in, at, longBytes, 0, bytes);
        yield longBytes;
      }
      case BF16 -> {
        MemorySegment.copy(in, at, intBytes, 0, bytes);
        Kernels.widenBf16(ints, longs, Math.ceilDiv(count, 2));
        yield longBytes;
      }
      case F16 -> {
        MemorySegment.copy(in, at, shortBytes, 0, bytes);
        Kernels.widenF16(shorts, floats, count);
        yield floatBytes;
      }
      default -> throw new IllegalArgumentException("no cast from " + from);
    };
  }

  /** So many e4m3 elements that begin at that byte, each times its own scale, as float32. */
  MemorySegment decodeE4m3(MemorySegment in, long at, int count, float[] scales) {
    int fours = Math.ceilDiv(count, 4);
    MemorySegment.copy(in, at, intBytes, 0, count);
    Kernels.e4m3ToF16(ints, longs, fours);
    MemorySegment.copy(longBytes, 0, shortBytes, 0, (long) fours * Long.BYTES);
    Kernels.scale(shorts, scales, floats, count);
    return floatBytes;
  }

  /** So many e2m1 elements, an even number, likewise. */
  MemorySegment decodeE2m1(MemorySegment in, long at, int count, float[] scales) {
    MemorySegment.copy(in, ValueLayout.JAVA_BYTE, at, bytes, 0, count / 2);
    Kernels.scaleE2m1(bytes, scales, floats, count);
    return floatBytes;
  }

  /** So many whole numbers of eight bits likewise. */
  MemorySegment decodeI8(MemorySegment in, long at, int count, float[] scales) {
    MemorySegment.copy(in, ValueLayout.JAVA_BYTE, at, bytes, 0, count);
    Kernels.scaleI8(bytes, scales, floats, count);
    return floatBytes;
  }

  /** So many of four bits, an even number, likewise. */
  MemorySegment decodeInt4(MemorySegment in, long at, int count, float[] scales) {
    MemorySegment.copy(in, ValueLayout.JAVA_BYTE, at, bytes, 0, count / 2);
    Kernels.scaleInt4(bytes, scales, floats, count);
    return floatBytes;
  }

  /** Encodes so many of the float32 values that this block returned, from that byte of out on. */
  void encode(MemorySegment values, int count, MemorySegment out, long at, Dtype to) {
    long bytes = (long) count * to.bits() / Byte.SIZE;
    switch (to) {
      case F32 -> MemorySegment.copy(values, 0, out, at, bytes);
      case BF16 -> {
        if (!values.equals(longBytes)) {
          MemorySegment.copy(values, 0, longBytes, 0, (long) count * Float.BYTES);
        }
        Kernels.narrowToBf16(longs, ints, Math.ceilDiv(count, 2));
        MemorySegment.copy(intBytes, 0, out, at, bytes);
      }
      default -> throw new IllegalArgumentException("no cast to " + to);
    }
  }
}

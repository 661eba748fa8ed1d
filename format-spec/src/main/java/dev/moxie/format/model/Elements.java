package dev.moxie.format.model;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.EnumSet;
import java.util.Set;

/** Stored floating-point elements, widened one by one; exact, since each of them fits a double. */
public final class Elements {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final Set<Dtype> WIDENED =
      EnumSet.of(Dtype.F32, Dtype.BF16, Dtype.F16, Dtype.F8_E4M3);

  private final MemorySegment bytes;
  private final Dtype dtype;

  /**
   * The elements in some bytes.
   *
   * @param where whose they are, for messages
   * @throws UnsupportedException unless the dtype is F32, BF16, F16 or F8_E4M3
   */
  public Elements(String where, MemorySegment bytes, Dtype dtype) {
    if (!WIDENED.contains(dtype)) {
      throw new UnsupportedException(
          where, "F32, BF16, F16 or F8_E4M3", dtype.toString(), "update Moxie");
    }
    this.bytes = bytes;
    this.dtype = dtype;
  }

  /** One element, without any scale. */
  public double get(long index) {
    return switch (dtype) {
      case F32 -> bytes.get(FLOAT, index * 4);
      case BF16 -> Float.intBitsToFloat(bytes.get(SHORT, index * 2) << 16);
      case F16 -> Float.float16ToFloat(bytes.get(SHORT, index * 2));
      default -> Fp8Blocks.value(bytes.get(ValueLayout.JAVA_BYTE, index));
    };
  }
}

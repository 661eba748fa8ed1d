package dev.moxie.format.encoding;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Stored elements, read one by one as the format defines them; exact, since each of them fits a
 * double. What the converter makes of them in bulk is held to this.
 */
public final class Elements {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final Set<Dtype> NUMBERS =
      EnumSet.of(Dtype.F32, Dtype.BF16, Dtype.F16, Dtype.F8_E4M3, Dtype.F8_E5M2, Dtype.I64);

  private final MemorySegment values;
  private final Dtype dtype;
  private final @Nullable Blocks blocks;

  /** What a matrix of scaled numbers has besides them. */
  private record Blocks(BlockScaled encoding, MemorySegment scales, Dtype dtype, long columns) {
    /** Where the scale of an element is. */
    long place(long index) {
      return index / columns / encoding.blockRows() * acrossRow()
          + index % columns / encoding.blockColumns();
    }

    long acrossRow() {
      return Math.ceilDiv(columns, encoding.blockColumns());
    }

    float scale(long place) {
      return Scales.get(scales, dtype, place);
    }
  }

  private Elements(MemorySegment values, Dtype dtype, @Nullable Blocks blocks) {
    this.values = values;
    this.dtype = dtype;
    this.blocks = blocks;
  }

  /**
   * The elements in some bytes.
   *
   * @param where whose they are, for messages
   * @throws UnsupportedException unless the dtype is one of floating-point numbers
   */
  public static Elements plain(String where, MemorySegment bytes, Dtype dtype) {
    if (!areNumbers(dtype)) {
      throw new UnsupportedException(where, "one of " + NUMBERS, dtype.toString(), "update Moxie");
    }
    return new Elements(bytes, dtype, null);
  }

  /**
   * The elements of a matrix.
   *
   * @param scales row-major
   * @param columns of the matrix
   */
  public static Elements scaled(
      BlockScaled encoding,
      MemorySegment values,
      MemorySegment scales,
      Dtype scaleDtype,
      long columns) {
    return new Elements(
        values, encoding.dtype(), new Blocks(encoding, scales, scaleDtype, columns));
  }

  /** Whether elements of a dtype can be read by themselves. */
  public static boolean areNumbers(Dtype dtype) {
    return NUMBERS.contains(dtype);
  }

  /** One element. */
  public double get(long index) {
    return blocks == null ? number(index) : scaled(index, blocks.place(index));
  }

  /** One element, but with the scale of another place of the grid. */
  public double scaled(long index, long place) {
    // The product of two float32 numbers is exact in double precision.
    return blocks == null ? number(index) : (float) (number(index) * blocks.scale(place));
  }

  /** One number, without any scale. */
  public double number(long index) {
    return blocks == null ? get(values, dtype, index) : blocks.encoding().number(values, index);
  }

  /** The scale of one element; 1 where it has none. */
  public double scale(long index) {
    return blocks == null ? 1 : blocks.scale(blocks.place(index));
  }

  /** Reads so many elements from one on. */
  public void read(long start, int count, double[] into) {
    if (blocks != null) {
      readScaled(blocks, start, count, into);
      return;
    }
    switch (dtype) {
      case F32 -> {
        for (int i = 0; i < count; i++) {
          into[i] = values.get(FLOAT, (start + i) * 4);
        }
      }
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          into[i] = Float.intBitsToFloat(values.get(SHORT, (start + i) * 2) << 16);
        }
      }
      case F16 -> {
        for (int i = 0; i < count; i++) {
          into[i] = Float.float16ToFloat(values.get(SHORT, (start + i) * 2));
        }
      }
      default -> {
        for (int i = 0; i < count; i++) {
          into[i] = get(values, dtype, start + i);
        }
      }
    }
  }

  /** One block of a row after the other: those elements have one scale. */
  private void readScaled(Blocks of, long start, int count, double[] into) {
    int i = 0;
    while (i < count) {
      long column = (start + i) % of.columns();
      long size = of.encoding().blockColumns();
      long end = Math.min(of.columns(), (column / size + 1) * size);
      float scale = of.scale(of.place(start + i));
      int last = (int) Math.min(count, i + end - column);
      if (dtype == Dtype.F8_E4M3) {
        // The compiler sees through this loop, but not through calls of any of six encodings.
        for (; i < last; i++) {
          into[i] = Fp8Block.number(values.get(ValueLayout.JAVA_BYTE, start + i)) * scale;
        }
      } else {
        for (; i < last; i++) {
          into[i] = of.encoding().number(values, start + i) * scale;
        }
      }
    }
  }

  static double get(MemorySegment bytes, Dtype dtype, long index) {
    return switch (dtype) {
      case F32 -> bytes.get(FLOAT, index * 4);
      case I64 -> bytes.get(LONG, index * 8);
      case BF16 -> Float.intBitsToFloat(bytes.get(SHORT, index * 2) << 16);
      case F16 -> Float.float16ToFloat(bytes.get(SHORT, index * 2));
      case F8_E4M3 -> Fp8Block.number(bytes.get(ValueLayout.JAVA_BYTE, index));
      // An e5m2 is the upper half of a float16.
      case F8_E5M2 -> Float.float16ToFloat((short) (bytes.get(ValueLayout.JAVA_BYTE, index) << 8));
      default -> throw new IllegalArgumentException(dtype + " elements are no numbers");
    };
  }
}

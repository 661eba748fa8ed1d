package dev.moxie.runtime.plain;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Scales;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * A matrix or vector of a package, in its shard and as it is stored, of which one row at a time is
 * widened to float32. An encoding is one implementation and one case of {@link #of}.
 */
public interface StoredMatrix {
  /** 1 of a vector. */
  int rows();

  int columns();

  /** Widens one row, [columns]. */
  void read(int row, float[] into);

  /** What a row of the index says is stored, its bytes checked against their checksums. */
  static StoredMatrix of(MoxiePackage pack, IndexRow row) {
    return switch (row.encoding()) {
      case dev.moxie.format.encoding.Plain plain ->
          plain(row.describe(), row.dtype(), row.shape(), intact(pack, row));
      case BlockScaled blocks -> {
        IndexRow scales = pack.scales(row).orElseThrow();
        yield new Scaled(
            MoxiePackage.matrix(row),
            intact(pack, row),
            blocks,
            intact(pack, scales),
            scales.dtype());
      }
    };
  }

  private static MemorySegment intact(MoxiePackage pack, IndexRow row) {
    pack.requireIntact(row.shard(), row.offset(), row.bytes());
    return pack.bytes(row);
  }

  /**
   * Elements as their dtype says.
   *
   * @param where whose they are, for messages
   * @throws UnsupportedException unless they are F32, BF16 or F16
   */
  static StoredMatrix plain(String where, Dtype dtype, Shape shape, MemorySegment bytes) {
    return switch (dtype) {
      case F32 -> new F32(shape, bytes);
      case BF16 -> new BF16(shape, bytes);
      case F16 -> new F16(shape, bytes);
      default ->
          throw new UnsupportedException(
              where,
              "weights of F32, BF16 or F16",
              dtype.toString(),
              "this build does not compute with those");
    };
  }

  /** Elements one after the other, row by row. */
  abstract class Elements implements StoredMatrix {
    static final ValueLayout.OfShort SHORT =
        ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfFloat FLOAT =
        ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    final MemorySegment bytes;
    private final int rows;
    private final int columns;

    Elements(Shape shape, MemorySegment bytes) {
      this.bytes = bytes;
      this.columns = Math.toIntExact(shape.dim(shape.rank() - 1));
      this.rows = Math.toIntExact(shape.elements() / columns);
    }

    @Override
    public final int rows() {
      return rows;
    }

    @Override
    public final int columns() {
      return columns;
    }

    final long first(int row) {
      return (long) row * columns;
    }
  }

  /** IEEE 754 binary32. */
  final class F32 extends Elements {
    F32(Shape shape, MemorySegment bytes) {
      super(shape, bytes);
    }

    @Override
    public void read(int row, float[] into) {
      MemorySegment.copy(bytes, FLOAT, first(row) * Float.BYTES, into, 0, columns());
    }
  }

  /** The upper half of a binary32. */
  final class BF16 extends Elements {
    BF16(Shape shape, MemorySegment bytes) {
      super(shape, bytes);
    }

    @Override
    public void read(int row, float[] into) {
      long first = first(row) * Short.BYTES;
      for (int c = 0; c < columns(); c++) {
        into[c] = Float.intBitsToFloat(bytes.get(SHORT, first + (long) c * Short.BYTES) << 16);
      }
    }
  }

  /** IEEE 754 binary16. */
  final class F16 extends Elements {
    F16(Shape shape, MemorySegment bytes) {
      super(shape, bytes);
    }

    @Override
    public void read(int row, float[] into) {
      long first = first(row) * Short.BYTES;
      for (int c = 0; c < columns(); c++) {
        into[c] = Float.float16ToFloat(bytes.get(SHORT, first + (long) c * Short.BYTES));
      }
    }
  }

  /** {@link BlockScaled}: small numbers times their blocks' scales, rounded to float32. */
  final class Scaled extends Elements {
    private final BlockScaled blocks;
    private final MemorySegment scales;
    private final Dtype dtype;

    Scaled(
        Shape matrix,
        MemorySegment numbers,
        BlockScaled blocks,
        MemorySegment scales,
        Dtype dtype) {
      super(matrix, numbers);
      this.blocks = blocks;
      this.scales = scales;
      this.dtype = dtype;
    }

    @Override
    public void read(int row, float[] into) {
      int size = Math.min(columns(), blocks.blockColumns());
      float[] ofRow = scales(row / blocks.blockRows(), Math.ceilDiv(columns(), size));
      for (int block = 0; block < ofRow.length; block++) {
        int end = Math.min((block + 1) * size, columns());
        for (int c = block * size; c < end; c++) {
          into[c] = blocks.number(bytes, first(row) + c) * ofRow[block];
        }
      }
    }

    private float[] scales(int row, int count) {
      long size = (long) count * dtype.bits() / Byte.SIZE;
      return Scales.all(scales.asSlice(row * size, size), dtype);
    }
  }
}

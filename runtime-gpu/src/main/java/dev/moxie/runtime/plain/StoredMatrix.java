package dev.moxie.runtime.plain;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
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
    pack.requireIntact(row.shard(), row.offset(), row.bytes());
    return switch (row.encoding()) {
      case IndexRow.PLAIN -> plain(row, pack.bytes(row));
      case IndexRow.FP8_BLOCK -> {
        IndexRow scales = pack.scales(row).orElseThrow();
        yield new Fp8(row, pack.bytes(row), of(pack, scales));
      }
      default -> throw unsupported(row, "weights that are plain or in fp8 blocks", row.encoding());
    };
  }

  private static StoredMatrix plain(IndexRow row, MemorySegment bytes) {
    return switch (row.dtype()) {
      case F32 -> new F32(row, bytes);
      case BF16 -> new BF16(row, bytes);
      case F16 -> new F16(row, bytes);
      default -> throw unsupported(row, "weights of F32, BF16 or F16", row.dtype().toString());
    };
  }

  private static UnsupportedException unsupported(IndexRow row, String expected, String found) {
    return new UnsupportedException(
        row.describe(), expected, found, "this build does not compute with those");
  }

  /** Elements one after the other, each of so many bytes. */
  abstract class Elements implements StoredMatrix {
    static final ValueLayout.OfShort SHORT =
        ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfFloat FLOAT =
        ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    final MemorySegment bytes;
    private final int rows;
    private final int columns;

    Elements(IndexRow row, MemorySegment bytes) {
      this.bytes = bytes;
      this.columns = Math.toIntExact(row.shape().dim(row.shape().rank() - 1));
      this.rows = Math.toIntExact(row.shape().elements() / columns);
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
    F32(IndexRow row, MemorySegment bytes) {
      super(row, bytes);
    }

    @Override
    public void read(int row, float[] into) {
      MemorySegment.copy(bytes, FLOAT, first(row) * Float.BYTES, into, 0, columns());
    }
  }

  /** The upper half of a binary32. */
  final class BF16 extends Elements {
    BF16(IndexRow row, MemorySegment bytes) {
      super(row, bytes);
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
    F16(IndexRow row, MemorySegment bytes) {
      super(row, bytes);
    }

    @Override
    public void read(int row, float[] into) {
      long first = first(row) * Short.BYTES;
      for (int c = 0; c < columns(); c++) {
        into[c] = Float.float16ToFloat(bytes.get(SHORT, first + (long) c * Short.BYTES));
      }
    }
  }

  /** {@link Fp8Blocks}: products rounded to float32. */
  final class Fp8 extends Elements {
    private final StoredMatrix scales;

    Fp8(IndexRow row, MemorySegment bytes, StoredMatrix scales) {
      super(row, bytes);
      this.scales = scales;
    }

    @Override
    public void read(int row, float[] into) {
      float[] ofRow = new float[scales.columns()];
      scales.read(row / Fp8Blocks.SIZE, ofRow);
      for (int c = 0; c < columns(); c++) {
        byte code = bytes.get(ValueLayout.JAVA_BYTE, first(row) + c);
        into[c] = Fp8Blocks.value(code) * ofRow[c / Fp8Blocks.SIZE];
      }
    }
  }
}

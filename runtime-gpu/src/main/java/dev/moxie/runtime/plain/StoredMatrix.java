package dev.moxie.runtime.plain;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.encoding.Fp8Channel;
import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.encoding.Int4Group;
import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.encoding.Int8Group;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/**
 * A matrix or vector of a package, in its shard and as it is stored. An encoding is one
 * implementation and one case of {@link #of}.
 */
public interface StoredMatrix {
  /** 1 of a vector. */
  int rows();

  int columns();

  /** Bytes that it is stored in, those of its scales included. */
  long storedBytes();

  /** Widens one row to float32, [columns] from {@code at} on, in the order of its columns. */
  void read(int row, float[] into, int at);

  /**
   * Whether columns are not in their order, but of each 32 first the even ones, then the odd ones,
   * as they come out of bytes that hold two; its x is then in the same order. Columns are a
   * multiple of 32.
   */
  default boolean paired() {
    return false;
  }

  /**
   * As {@link #read}, but in the order of its columns whatever its own.
   *
   * @param room [columns], which then holds anything
   */
  default void readInOrder(int row, float[] into, int at, float[] room) {
    if (!paired()) {
      read(row, into, at);
      return;
    }
    read(row, room, 0);
    for (int c = 0; c < columns(); c++) {
      into[at + c] = room[Pairs.place(c)];
    }
  }

  /**
   * For how many tokens at most it is faster to multiply elements where they lie than to decode
   * rows of them first; 0 where it has no {@link #dots} and {@link #pair}.
   */
  default int few() {
    return 0;
  }

  /**
   * Partial sums of four rows with x, read where they lie, each {@link #read element} rounded to
   * float32 as ever.
   *
   * @param row the first of them
   * @param apart rows from one of them to the next
   * @param x [columns] from {@code at} on
   * @param lanes [4, {@link Lanes#COUNT}]
   */
  default void dots(int row, int apart, float[] x, int at, float[] lanes) {
    throw new UnsupportedOperationException();
  }

  /**
   * The same of two tokens, for which each element is read once.
   *
   * @param other where the second one's x begins
   * @param lanes [2, 4, {@link Lanes#COUNT}]
   */
  default void pair(int row, int apart, float[] x, int at, int other, float[] lanes) {
    throw new UnsupportedOperationException();
  }

  /** What a row of the index says is stored, its bytes checked against their checksums. */
  static StoredMatrix of(MoxiePackage pack, IndexRow row) {
    return switch (row.encoding()) {
      case dev.moxie.format.encoding.Plain plain ->
          plain(row.describe(), row.dtype(), row.shape(), intact(pack, row));
      case BlockScaled blocks -> {
        IndexRow scales = pack.scales(row).orElseThrow();
        yield scaled(
            MoxiePackage.matrix(row),
            intact(pack, row),
            blocks,
            intact(pack, scales),
            scales.dtype());
      }
    };
  }

  /** Numbers times the scales of their blocks, each product rounded to float32. */
  static StoredMatrix scaled(
      Shape matrix, MemorySegment numbers, BlockScaled blocks, MemorySegment scales, Dtype dtype) {
    var grid = new ScaleGrid(blocks, scales, dtype, Math.toIntExact(matrix.dim(1)));
    boolean vectors = Lanes.BYTES_FIT && blocks.blockColumns() % Lanes.COUNT == 0;
    return switch (blocks) {
      case Fp8Block fp8 when vectors -> new E4m3(matrix, numbers, grid);
      case Fp8Channel fp8 when Lanes.BYTES_FIT -> new E4m3(matrix, numbers, grid);
      case Int8Channel int8 when Lanes.BYTES_FIT -> new Int8(matrix, numbers, grid);
      case Int8Group int8 when Lanes.BYTES_FIT && int8.blockColumns() >= matrix.dim(1) ->
          new Int8(matrix, numbers, grid);
      case Mxfp4 mxfp4 -> new E2m1(matrix, numbers, grid);
      case Int4Block int4 when matrix.dim(1) % FourBits.GROUP == 0 ->
          new Int4(matrix, numbers, grid);
      case Int4Group int4 when matrix.dim(1) % FourBits.GROUP == 0 && FourBits.shifts(grid) ->
          new Int4(matrix, numbers, grid);
      default -> new Scaled(matrix, numbers, blocks, grid);
    };
  }

  private static MemorySegment intact(MoxiePackage pack, IndexRow row) {
    pack.requireIntact(row.shard(), row.offset(), row.bytes());
    return pack.bytes(row);
  }

  /** Whole numbers below 2^24, as those of experts are, as float32. */
  private static MemorySegment ids(MemorySegment bytes) {
    long count = bytes.byteSize() / Long.BYTES;
    MemorySegment floats = Arena.ofAuto().allocate(count * Float.BYTES, Long.BYTES);
    for (long i = 0; i < count; i++) {
      floats.set(
          ValueLayout.JAVA_FLOAT_UNALIGNED,
          i * Float.BYTES,
          (float) bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, i * Long.BYTES));
    }
    return floats;
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
      case I64 -> new F32(shape, ids(bytes));
      default ->
          throw new UnsupportedException(
              where,
              "weights of F32, BF16 or F16",
              dtype.toString(),
              "this build does not compute with those");
    };
  }

  /**
   * Elements one after the other, row by row. Each kind has the loop over rows for itself: one that
   * two kinds shared would not be compiled into either, and every vector would be an object.
   */
  abstract class Elements implements StoredMatrix {
    /** {@link #few} of elements that take an instruction or two to decode. */
    static final int FEW = 8;

    /** Of those that take more. */
    static final int FEWER = 3;

    static final ValueLayout.OfShort SHORT =
        ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfFloat FLOAT =
        ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    final MemorySegment bytes;
    private final int rows;
    private final int columns;
    private final long storedBytes;

    Elements(Shape shape, MemorySegment bytes) {
      this(shape, bytes, 0);
    }

    Elements(Shape matrix, MemorySegment numbers, ScaleGrid grid) {
      this(matrix, numbers, grid.storedBytes());
    }

    private Elements(Shape shape, MemorySegment bytes, long more) {
      this.bytes = bytes;
      this.storedBytes = bytes.byteSize() + more;
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

    @Override
    public final long storedBytes() {
      return storedBytes;
    }

    final long first(int row) {
      return (long) row * columns;
    }

    /** Whether rows consist of whole {@link Lanes}. */
    final boolean isWhole() {
      return columns % Lanes.COUNT == 0;
    }
  }

  /** IEEE 754 binary32. */
  final class F32 extends Elements {
    F32(Shape shape, MemorySegment bytes) {
      super(shape, bytes);
    }

    @Override
    public void read(int row, float[] into, int at) {
      MemorySegment.copy(bytes, FLOAT, first(row) * Float.BYTES, into, at, columns());
    }

    @Override
    public int few() {
      return isWhole() ? FEW : 0;
    }

    @Override
    public void dots(int row, int apart, float[] x, int at, float[] lanes) {
      int k = columns();
      long first = first(row);
      long second = first(row + apart);
      long third = first(row + 2 * apart);
      long fourth = first(row + 3 * apart);
      for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
        FloatVector a = FloatVector.zero(Lanes.FLOATS);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        for (int i = p; i < k; i += Lanes.COUNT) {
          FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
          a = vector(first + i).fma(v, a);
          b = vector(second + i).fma(v, b);
          c = vector(third + i).fma(v, c);
          d = vector(fourth + i).fma(v, d);
        }
        Sums.store(a, b, c, d, lanes, p);
      }
    }

    @Override
    public void pair(int row, int apart, float[] x, int at, int other, float[] lanes) {
      int k = columns();
      long first = first(row);
      long second = first(row + apart);
      long third = first(row + 2 * apart);
      long fourth = first(row + 3 * apart);
      for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
        FloatVector a1 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a2 = a1;
        FloatVector a3 = a1;
        FloatVector a4 = a1;
        FloatVector b1 = a1;
        FloatVector b2 = a1;
        FloatVector b3 = a1;
        FloatVector b4 = a1;
        for (int i = p; i < k; i += Lanes.COUNT) {
          FloatVector a = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
          FloatVector b = FloatVector.fromArray(Lanes.FLOATS, x, other + i);
          FloatVector w = vector(first + i);
          a1 = w.fma(a, a1);
          b1 = w.fma(b, b1);
          w = vector(second + i);
          a2 = w.fma(a, a2);
          b2 = w.fma(b, b2);
          w = vector(third + i);
          a3 = w.fma(a, a3);
          b3 = w.fma(b, b3);
          w = vector(fourth + i);
          a4 = w.fma(a, a4);
          b4 = w.fma(b, b4);
        }
        a1.intoArray(lanes, p);
        a2.intoArray(lanes, p + Lanes.COUNT);
        a3.intoArray(lanes, p + 2 * Lanes.COUNT);
        a4.intoArray(lanes, p + 3 * Lanes.COUNT);
        b1.intoArray(lanes, p + 4 * Lanes.COUNT);
        b2.intoArray(lanes, p + 5 * Lanes.COUNT);
        b3.intoArray(lanes, p + 6 * Lanes.COUNT);
        b4.intoArray(lanes, p + 7 * Lanes.COUNT);
      }
    }

    private FloatVector vector(long element) {
      return FloatVector.fromMemorySegment(
          Lanes.FLOATS, bytes, element * Float.BYTES, Lanes.LITTLE);
    }
  }

  /** The upper half of a binary32. */
  final class BF16 extends Elements {
    BF16(Shape shape, MemorySegment bytes) {
      super(shape, bytes);
    }

    @Override
    public void read(int row, float[] into, int at) {
      long first = first(row);
      int whole = columns() & -Lanes.WIDTH;
      for (int c = 0; c < whole; c += Lanes.WIDTH) {
        vector(first + c).intoArray(into, at + c);
      }
      for (int c = whole; c < columns(); c++) {
        into[at + c] = Float.intBitsToFloat(bytes.get(SHORT, (first + c) * Short.BYTES) << 16);
      }
    }

    @Override
    public int few() {
      return isWhole() ? FEW : 0;
    }

    @Override
    public void dots(int row, int apart, float[] x, int at, float[] lanes) {
      int k = columns();
      long first = first(row);
      long second = first(row + apart);
      long third = first(row + 2 * apart);
      long fourth = first(row + 3 * apart);
      for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
        FloatVector a = FloatVector.zero(Lanes.FLOATS);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        for (int i = p; i < k; i += Lanes.COUNT) {
          FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
          a = vector(first + i).fma(v, a);
          b = vector(second + i).fma(v, b);
          c = vector(third + i).fma(v, c);
          d = vector(fourth + i).fma(v, d);
        }
        Sums.store(a, b, c, d, lanes, p);
      }
    }

    @Override
    public void pair(int row, int apart, float[] x, int at, int other, float[] lanes) {
      int k = columns();
      long first = first(row);
      long second = first(row + apart);
      long third = first(row + 2 * apart);
      long fourth = first(row + 3 * apart);
      for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
        FloatVector a1 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a2 = a1;
        FloatVector a3 = a1;
        FloatVector a4 = a1;
        FloatVector b1 = a1;
        FloatVector b2 = a1;
        FloatVector b3 = a1;
        FloatVector b4 = a1;
        for (int i = p; i < k; i += Lanes.COUNT) {
          FloatVector a = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
          FloatVector b = FloatVector.fromArray(Lanes.FLOATS, x, other + i);
          FloatVector w = vector(first + i);
          a1 = w.fma(a, a1);
          b1 = w.fma(b, b1);
          w = vector(second + i);
          a2 = w.fma(a, a2);
          b2 = w.fma(b, b2);
          w = vector(third + i);
          a3 = w.fma(a, a3);
          b3 = w.fma(b, b3);
          w = vector(fourth + i);
          a4 = w.fma(a, a4);
          b4 = w.fma(b, b4);
        }
        a1.intoArray(lanes, p);
        a2.intoArray(lanes, p + Lanes.COUNT);
        a3.intoArray(lanes, p + 2 * Lanes.COUNT);
        a4.intoArray(lanes, p + 3 * Lanes.COUNT);
        b1.intoArray(lanes, p + 4 * Lanes.COUNT);
        b2.intoArray(lanes, p + 5 * Lanes.COUNT);
        b3.intoArray(lanes, p + 6 * Lanes.COUNT);
        b4.intoArray(lanes, p + 7 * Lanes.COUNT);
      }
    }

    private FloatVector vector(long element) {
      return ((IntVector)
              ShortVector.fromMemorySegment(
                      Lanes.SHORTS, bytes, element * Short.BYTES, Lanes.LITTLE)
                  .convertShape(VectorOperators.ZERO_EXTEND_S2I, Lanes.INTS, 0))
          .lanewise(VectorOperators.LSHL, 16)
          .reinterpretAsFloats();
    }
  }

  /** IEEE 754 binary16. */
  final class F16 extends Elements {
    F16(Shape shape, MemorySegment bytes) {
      super(shape, bytes);
    }

    @Override
    public void read(int row, float[] into, int at) {
      long first = first(row) * Short.BYTES;
      for (int c = 0; c < columns(); c++) {
        into[at + c] = Float.float16ToFloat(bytes.get(SHORT, first + (long) c * Short.BYTES));
      }
    }
  }

  /** {@link BlockScaled} of any kind, number by number. */
  final class Scaled extends Elements {
    private final BlockScaled blocks;
    private final ScaleGrid grid;

    Scaled(Shape matrix, MemorySegment numbers, BlockScaled blocks, ScaleGrid grid) {
      super(matrix, numbers, grid);
      this.blocks = blocks;
      this.grid = grid;
    }

    @Override
    public void read(int row, float[] into, int at) {
      int size = Math.min(columns(), blocks.blockColumns());
      long place = grid.first(row);
      for (int from = 0; from < columns(); from += size) {
        float scale = grid.at(place++);
        int end = Math.min(from + size, columns());
        for (int c = from; c < end; c++) {
          into[at + c] = blocks.number(bytes, first(row) + c) * scale;
        }
      }
    }
  }
}

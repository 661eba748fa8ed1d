package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.encoding.Fp8Channel;
import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.encoding.Int4Group;
import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

/** Rows in bulk, against the elements one by one as the format defines them. */
class StoredMatrixTest {
  @Property(tries = 60)
  void plainElementsAreWidenedAsTheFormatDefines(
      @ForAll @IntRange(min = 1, max = 20) int rows,
      @ForAll @IntRange(min = 1, max = 70) int columns,
      @ForAll Random random) {
    Shape shape = Shape.of(rows, columns);
    for (Dtype dtype : List.of(Dtype.F32, Dtype.BF16, Dtype.F16)) {
      MemorySegment bytes = bytes(shape, dtype, random);
      requireSame(
          dtype.toString(),
          StoredMatrix.plain("a matrix", dtype, shape, bytes),
          Elements.plain("a matrix", bytes, dtype));
    }
  }

  @Test
  void otherElementsAreRefused() {
    MemorySegment bytes = MemorySegment.ofArray(new byte[8]);
    String message =
        assertThrows(
                UnsupportedException.class,
                () -> StoredMatrix.plain("a matrix", Dtype.I32, Shape.of(1), bytes))
            .getMessage();
    assertTrue(message.contains("a matrix") && message.contains("I32"), message);
  }

  @Property(tries = 100)
  void fp8OfAnyBlocksIsWidenedAsTheFormatDefines(
      @ForAll @IntRange(min = 1, max = 20) int rows,
      @ForAll @IntRange(min = 1, max = 70) int columns,
      @ForAll @IntRange(min = 1, max = 9) int blockRows,
      @ForAll @IntRange(min = 1, max = 40) int blockColumns,
      @ForAll Random random) {
    requireSame(new Fp8Block(blockRows, blockColumns), Shape.of(rows, columns), random);
  }

  @Property(tries = 50)
  void mxfp4IsWidenedAsTheFormatDefines(
      @ForAll @IntRange(min = 1, max = 5) int rows,
      @ForAll @IntRange(min = 1, max = 5) int blocks,
      @ForAll Random random) {
    requireSame(new Mxfp4(), Shape.of(rows, 32L * blocks), random);
  }

  @Property(tries = 50)
  void fp8OfRowsIsWidenedAsTheFormatDefines(
      @ForAll @IntRange(min = 1, max = 20) int rows,
      @ForAll @IntRange(min = 1, max = 70) int columns,
      @ForAll Random random) {
    requireSame(new Fp8Channel(), Shape.of(rows, columns), random);
  }

  @Property(tries = 200)
  void int4OfAnyGroupsIsWidenedAsTheFormatDefines(
      @ForAll @IntRange(min = 1, max = 20) int rows,
      @ForAll @IntRange(min = 1, max = 40) int eights,
      @ForAll @IntRange(min = 1, max = 130) int group,
      @ForAll Random random) {
    requireSame(new Int4Group(group), Shape.of(rows, 8L * eights), random);
    requireSame(new Int4Group(Integer.highestOneBit(group)), Shape.of(rows, 8L * eights), random);
  }

  private static void requireSame(BlockScaled encoding, Shape matrix, Random random) {
    MemorySegment numbers = bytes(encoding.stored(matrix), encoding.dtype(), random);
    List<Dtype> dtypes = encoding.scaleDtypes().stream().sorted().toList();
    Dtype dtype = dtypes.get(random.nextInt(dtypes.size()));
    MemorySegment scales = bytes(encoding.grid(matrix), dtype, random);
    requireSame(
        encoding.id() + " with scales of " + dtype,
        StoredMatrix.scaled(matrix, numbers, encoding, scales, dtype),
        Elements.scaled(encoding, numbers, scales, dtype, matrix.dim(1)));
  }

  /** What is multiplied where it lies has the bits of rows that are widened first. */
  @Property(tries = 60)
  void productsAreTheSameWhereverRowsAreWidened(
      @ForAll @IntRange(min = 1, max = 6) int fours,
      @ForAll @IntRange(min = 1, max = 9) int lanes,
      @ForAll Random random) {
    int k = lanes * Lanes.COUNT;
    Shape shape = Shape.of(4L * fours, k);
    float[] x = new float[2 * k];
    for (int i = 0; i < x.length; i++) {
      x[i] = random.nextFloat() - 0.5f;
    }
    for (Dtype dtype : List.of(Dtype.F32, Dtype.BF16)) {
      MemorySegment bytes = bytes(shape, dtype, random);
      requireSameProducts(StoredMatrix.plain("a", dtype, shape, bytes), x);
    }
    if (shape.dim(1) % FourBits.GROUP == 0) {
      requireSameProducts(
          StoredMatrix.scaled(
              shape,
              bytes(new Int4Group(32).stored(shape), Dtype.I32, random),
              new Int4Group(32),
              bytes(new Int4Group(32).grid(shape), Dtype.F32, random),
              Dtype.F32),
          x);
    }
    for (BlockScaled encoding :
        List.of(
            new Fp8Block(3, 32),
            new Fp8Channel(),
            new Mxfp4(),
            new Int8Channel(),
            new Int4Block(64))) {
      if (encoding.holds(shape)) {
        Dtype dtype = encoding.scaleDtypes().contains(Dtype.F32) ? Dtype.F32 : Dtype.U8;
        requireSameProducts(
            StoredMatrix.scaled(
                shape,
                bytes(encoding.stored(shape), encoding.dtype(), random),
                encoding,
                bytes(encoding.grid(shape), dtype, random),
                dtype),
            x);
      }
    }
  }

  private static void requireSameProducts(StoredMatrix matrix, float[] x) {
    if (matrix.few() == 0 && !Lanes.BYTES_FIT) {
      return; // Vectors of 128 bits are too narrow for codes of bytes: such rows are widened.
    }
    int k = matrix.columns();
    float[] own = new float[4 * Lanes.COUNT];
    float[] pair = new float[8 * Lanes.COUNT];
    float[] widened = new float[4 * Lanes.COUNT];
    float[] rows = new float[4 * k];
    assertTrue(matrix.few() > 1);
    for (int first = 0; first < matrix.rows(); first += 4) {
      for (int r = 0; r < 4; r++) {
        matrix.read(first + r, rows, r * k);
      }
      matrix.dots(first, 1, x, 0, own);
      Sums.rows(rows, 0, k, k, x, 0, widened);
      assertArrayEquals(widened, own, matrix.getClass().getSimpleName());
      matrix.pair(first, 1, x, 0, k, pair);
      assertArrayEquals(widened, Arrays.copyOf(pair, widened.length));
      Sums.rows(rows, 0, k, k, x, k, widened);
      assertArrayEquals(widened, Arrays.copyOfRange(pair, widened.length, pair.length));
    }
    requireSameRows(matrix, x);
  }

  /** Rows of a matrix are its rows, paired as they are, wherever they are read and multiplied. */
  private static void requireSameRows(StoredMatrix matrix, float[] x) {
    int k = matrix.columns();
    for (int first = 0; first + 4 <= matrix.rows(); first += 3) {
      var some = new SomeRows(matrix, first, 4);
      assertEquals(matrix.paired(), some.paired());
      float[][] read = new float[2][4 * k];
      float[][] products = new float[2][12 * Lanes.COUNT];
      for (int r = 0; r < 4; r++) {
        matrix.read(first + r, read[0], r * k);
        some.read(r, read[1], r * k);
      }
      assertArrayEquals(read[0], read[1]);
      matrix.dots(first, 1, x, 0, products[0]);
      some.dots(0, 1, x, 0, products[1]);
      assertArrayEquals(products[0], products[1]);
      matrix.pair(first, 1, x, 0, k, products[0]);
      some.pair(0, 1, x, 0, k, products[1]);
      assertArrayEquals(products[0], products[1]);
    }
  }

  private static MemorySegment bytes(Shape shape, Dtype dtype, Random random) {
    byte[] bytes = new byte[Math.toIntExact(shape.elements() * dtype.bits() / Byte.SIZE)];
    random.nextBytes(bytes);
    return MemorySegment.ofArray(bytes);
  }

  private static void requireSame(String what, StoredMatrix matrix, Elements elements) {
    float[] expected = new float[matrix.columns()];
    float[] widened = new float[matrix.columns()];
    float[] room = new float[matrix.columns()];
    for (int r = 0; r < matrix.rows(); r++) {
      matrix.readInOrder(r, widened, 0, room);
      for (int c = 0; c < widened.length; c++) {
        expected[c] = (float) elements.get((long) r * widened.length + c);
      }
      assertArrayEquals(expected, widened, what);
    }
  }
}

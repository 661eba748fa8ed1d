package dev.moxie.format.encoding;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CastingTest {
  private static final Fp8Block BLOCKS = new Fp8Block(128, 128);

  /** More than two blocks of the converter, and no whole number of vectors. */
  private static final int MANY = 2 * ElementBlock.SIZE + 37;

  @Property(tries = 20_000)
  void bf16IsTheNearestAndOfTwoTheEvenOne(@ForAll int bits) {
    float value = Float.intBitsToFloat(bits);
    short rounded = toBf16(value);
    assertEquals(rounded, cast(floats(value), Dtype.F32, Dtype.BF16).getShort(0));
    float result = Float.intBitsToFloat(rounded << 16);
    if (!Float.isFinite(value)) {
      assertEquals(value, result);
      return;
    }
    float below = Float.intBitsToFloat(bits & 0xffff0000);
    float above = Float.intBitsToFloat((bits & 0xffff0000) + 0x10000);
    if (!Float.isFinite(above)) {
      return;
    }
    BigDecimal down = distance(value, below);
    BigDecimal up = distance(value, above);
    int order = down.compareTo(up);
    boolean lowerIsEven = (bits >> 16 & 1) == 0;
    assertEquals(order < 0 || (order == 0 && lowerIsEven) ? below : above, result);
  }

  private static BigDecimal distance(float a, float b) {
    return new BigDecimal(a).subtract(new BigDecimal(b)).abs();
  }

  /** The definition that the kernels are held to: to nearest, ties to even; NaN stays NaN. */
  private static short toBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) (bits >> 16 | 0x40);
    }
    return (short) (bits + 0x7fff + (bits >> 16 & 1) >> 16);
  }

  /** Neighbours too: a NaN beside it must not carry into a number. */
  @Property(tries = 200)
  void everyElementOfManyIsRoundedByItself(
      @ForAll @IntRange(min = 1, max = MANY) int count, @ForAll long seed) {
    var random = new Random(seed);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      int bits = random.nextInt();
      int special = random.nextBoolean() ? 0x7f800000 : 0;
      values[i] = Float.intBitsToFloat(bits | special);
    }
    ByteBuffer result = cast(floats(values), Dtype.F32, Dtype.BF16);
    assertEquals(count * Short.BYTES, result.remaining());
    for (float value : values) {
      assertEquals(toBf16(value), result.getShort());
    }
  }

  /** Any length, so every place that a pattern can have in a vector. */
  @Property(tries = 20)
  void everyPatternOf16BitsIsCast(@ForAll @IntRange(min = 1, max = 70_000) int chunk) {
    ByteBuffer patterns = buffer(0x10000 * Short.BYTES);
    for (int bits = 0; bits < 0x10000; bits++) {
      patterns.putShort((short) bits);
    }
    patterns.flip();
    ByteBuffer wide = cast(patterns, chunk, Dtype.BF16, Dtype.F32);
    ByteBuffer half = cast(patterns, chunk, Dtype.F16, Dtype.F32);
    ByteBuffer halfToBf16 = cast(patterns, chunk, Dtype.F16, Dtype.BF16);
    for (int bits = 0; bits < 0x10000; bits++) {
      float value = Float.float16ToFloat((short) bits);
      assertEquals(bits << 16, wide.getInt());
      assertEquals(Float.floatToRawIntBits(value), half.getInt());
      assertEquals(toBf16(value), halfToBf16.getShort());
    }
  }

  /** Products that are subnormal, vanish, overflow or are no number, of either sign. */
  @ParameterizedTest
  @ValueSource(
      floats = {
        1,
        -1,
        0,
        -0f,
        0x1p-120f,
        -0x1.234568p-130f,
        0x1p-140f,
        Float.MIN_VALUE,
        0x1.fffffep119f,
        0x1.91p120f,
        -0x1.fffffep127f,
        0.3f,
        1e-4f,
        Float.POSITIVE_INFINITY,
        Float.NEGATIVE_INFINITY
      })
  void everyCodeMeetsEveryKindOfScale(float scale) {
    ByteBuffer f32 = decode(BLOCKS, allCodes(), 256, 256, new float[] {scale, scale}, Dtype.F32);
    ByteBuffer bf16 = decode(BLOCKS, allCodes(), 256, 256, new float[] {scale, scale}, Dtype.BF16);
    for (int code = 0; code < 256; code++) {
      float expected = Fp8Block.number((byte) code) * scale;
      assertEquals(Float.floatToRawIntBits(expected), f32.getInt());
      assertEquals(toBf16(expected), bf16.getShort());
    }
  }

  @Test
  void aScaleThatIsNoNumberMakesNone() {
    for (int bits : new int[] {0x7fc00000, 0x7f800001, 0xffffffff}) {
      float scale = Float.intBitsToFloat(bits);
      ByteBuffer f32 = decode(BLOCKS, allCodes(), 256, 256, new float[] {scale, scale}, Dtype.F32);
      ByteBuffer bf16 =
          decode(BLOCKS, allCodes(), 256, 256, new float[] {scale, scale}, Dtype.BF16);
      for (int code = 0; code < 256; code++) {
        assertTrue(Float.isNaN(f32.getFloat()));
        assertTrue(Float.isNaN(Float.intBitsToFloat(bf16.getShort() << 16)));
      }
    }
  }

  /** Whatever the blocks, and the chunks that a matrix comes in. */
  @Property(tries = 200)
  void everyFp8ElementMeetsTheScaleOfItsOwnBlock(
      @ForAll @IntRange(min = 1, max = 300) int rows,
      @ForAll @IntRange(min = 1, max = 300) int columns,
      @ForAll @IntRange(min = 1, max = 5000) int chunk,
      @ForAll @IntRange(min = 1, max = 130) int blockRows,
      @ForAll @IntRange(min = 1, max = 130) int blockColumns,
      @ForAll long seed) {
    var random = new Random(seed);
    byte[] codes = new byte[rows * columns];
    random.nextBytes(codes);
    int down = Math.ceilDiv(rows, blockRows);
    int across = Math.ceilDiv(columns, blockColumns);
    float[] scales = new float[down * across];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = random.nextFloat();
    }
    assertDecoded(
        new Fp8Block(blockRows, blockColumns),
        codes,
        chunk,
        columns,
        scales,
        (r, c) ->
            Fp8Block.number(codes[r * columns + c])
                * scales[r / blockRows * across + c / blockColumns]);
  }

  /** Numbers of the specification's table, low nibble first, times powers of two. */
  @Property(tries = 200)
  void everyMxfp4ElementIsItsNibbleTimesThePowerOfTwoOfItsThirtyTwo(
      @ForAll @IntRange(min = 1, max = 40) int rows,
      @ForAll @IntRange(min = 1, max = 5) int blocks,
      @ForAll @IntRange(min = 1, max = 3000) int chunk,
      @ForAll long seed) {
    float[] numbers = {0, .5f, 1, 1.5f, 2, 3, 4, 6};
    var random = new Random(seed);
    int columns = 32 * blocks;
    byte[] codes = new byte[rows * columns / 2];
    random.nextBytes(codes);
    byte[] exponents = new byte[rows * blocks];
    random.nextBytes(exponents);
    float[] scales = Scales.all(MemorySegment.ofArray(exponents), Dtype.F8_E8M0);
    assertArrayEquals(scales, Scales.all(MemorySegment.ofArray(exponents), Dtype.U8));
    assertDecoded(
        new Mxfp4(),
        codes,
        chunk,
        columns,
        scales,
        (r, c) -> {
          int exponent = exponents[(r * columns + c) / 32] & 0xff;
          int nibble = (codes[(r * columns + c) / 2] & 0xff) >> (c % 2 * 4) & 0xf;
          double magnitude = numbers[nibble & 7] * Math.pow(2, exponent - 127);
          return exponent == 255 ? Float.NaN : (float) (nibble < 8 ? magnitude : -magnitude);
        });
  }

  @Property(tries = 200)
  void everyInt8ElementIsItsNumberTimesTheScaleOfItsRow(
      @ForAll @IntRange(min = 1, max = 40) int rows,
      @ForAll @IntRange(min = 1, max = 300) int columns,
      @ForAll @IntRange(min = 1, max = 3000) int chunk,
      @ForAll long seed) {
    var random = new Random(seed);
    byte[] numbers = new byte[rows * columns];
    random.nextBytes(numbers);
    float[] scales = anyFloats(rows, random);
    assertDecoded(
        new Int8Channel(),
        numbers,
        chunk,
        columns,
        scales,
        (r, c) -> (float) ((double) numbers[r * columns + c] * scales[r]));
  }

  @Property(tries = 200)
  void everyInt4ElementIsItsNibbleLess8TimesTheScaleOfItsBlock(
      @ForAll @IntRange(min = 1, max = 40) int rows,
      @ForAll @IntRange(min = 1, max = 5) int blocks,
      @ForAll @IntRange(min = 4, max = 8) int log2,
      @ForAll @IntRange(min = 1, max = 3000) int chunk,
      @ForAll long seed) {
    var random = new Random(seed);
    int block = 1 << log2;
    int columns = block * blocks;
    byte[] codes = new byte[rows * columns / 2];
    random.nextBytes(codes);
    float[] scales = anyFloats(rows * blocks, random);
    assertDecoded(
        new Int4Block(block),
        codes,
        chunk,
        columns,
        scales,
        (r, c) -> {
          int nibble = (codes[(r * columns + c) / 2] & 0xff) >> (c % 2 * 4) & 0xf;
          return (float) ((nibble - 8.0) * scales[(r * columns + c) / block]);
        });
  }

  @Property(tries = 200)
  void everyFp8ElementOfARowMeetsItsOneScale(
      @ForAll @IntRange(min = 1, max = 40) int rows,
      @ForAll @IntRange(min = 1, max = 300) int columns,
      @ForAll @IntRange(min = 1, max = 3000) int chunk,
      @ForAll long seed) {
    var random = new Random(seed);
    byte[] codes = new byte[rows * columns];
    random.nextBytes(codes);
    float[] scales = anyFloats(rows, random);
    assertDecoded(
        new Fp8Channel(),
        codes,
        chunk,
        columns,
        scales,
        (r, c) -> Fp8Block.number(codes[r * columns + c]) * scales[r]);
  }

  /** Eight to a little-endian I32, whatever is left for the last group of a row. */
  @Property(tries = 200)
  void everyInt4ElementIsItsPlaceInItsValueLess8TimesTheScaleOfItsGroup(
      @ForAll @IntRange(min = 1, max = 40) int rows,
      @ForAll @IntRange(min = 1, max = 40) int eights,
      @ForAll @IntRange(min = 1, max = 130) int group,
      @ForAll @IntRange(min = 1, max = 700) int chunk,
      @ForAll long seed) {
    var random = new Random(seed);
    int columns = 8 * eights;
    int across = Math.ceilDiv(columns, group);
    byte[] codes = new byte[rows * columns / 2];
    random.nextBytes(codes);
    var values = ByteBuffer.wrap(codes).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer();
    float[] scales = anyFloats(rows * across, random);
    assertDecoded(
        new Int4Group(group),
        codes,
        Integer.BYTES * chunk,
        columns,
        scales,
        (r, c) -> {
          int code = values.get(r * eights + c / 8) >>> (4 * (c % 8)) & 0xf;
          return (float) ((code - 8.0) * scales[r * across + c / group]);
        });
  }

  /** Of any sign and magnitude, subnormals and infinities among them. */
  private static float[] anyFloats(int count, Random random) {
    float[] floats = new float[count];
    for (int i = 0; i < count; i++) {
      floats[i] = Float.intBitsToFloat(random.nextInt());
    }
    return floats;
  }

  private interface Expected {
    float at(int row, int column);
  }

  /** In bulk and one by one. */
  private static void assertDecoded(
      BlockScaled encoding,
      byte[] codes,
      int chunk,
      int columns,
      float[] scales,
      Expected expected) {
    int rows = elements(encoding, codes.length) / columns;
    ByteBuffer f32 = decode(encoding, codes, chunk, columns, scales, Dtype.F32);
    ByteBuffer bf16 = decode(encoding, codes, chunk, columns, scales, Dtype.BF16);
    ByteBuffer grid = floats(scales);
    Elements elements =
        Elements.scaled(
            encoding,
            MemorySegment.ofArray(codes),
            MemorySegment.ofBuffer(grid),
            Dtype.F32,
            columns);
    double[] read = new double[rows * columns];
    elements.read(0, read.length, read);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        float value = expected.at(r, c);
        if (Float.isNaN(value)) {
          assertTrue(Float.isNaN(f32.getFloat()));
          assertTrue(Float.isNaN(Float.intBitsToFloat(bf16.getShort() << 16)));
        } else {
          assertEquals(Float.floatToRawIntBits(value), f32.getInt());
          assertEquals(toBf16(value), bf16.getShort());
        }
        assertEquals(value, elements.get(r * columns + c));
        assertEquals(value, read[r * columns + c]);
      }
    }
  }

  private static byte[] allCodes() {
    byte[] codes = new byte[256];
    for (int code = 0; code < codes.length; code++) {
      codes[code] = (byte) code;
    }
    return codes;
  }

  private static ByteBuffer floats(float... values) {
    ByteBuffer buffer = buffer(values.length * Float.BYTES);
    buffer.asFloatBuffer().put(values);
    return buffer;
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static ByteBuffer cast(ByteBuffer in, Dtype from, Dtype to) {
    return cast(in, in.remaining(), from, to);
  }

  /** Casts so many elements at a time; leaves the input as it was. */
  private static ByteBuffer cast(ByteBuffer in, int chunk, Dtype from, Dtype to) {
    int width = from.bits() / Byte.SIZE;
    ByteBuffer out = buffer(in.remaining() / width * to.bits() / Byte.SIZE);
    for (int at = 0; at < in.limit(); at += chunk * width) {
      ByteBuffer part = in.slice(at, Math.min(chunk * width, in.limit() - at));
      Casting.cast(part, from, out, to);
      assertFalse(part.hasRemaining());
    }
    assertFalse(out.hasRemaining());
    return out.flip();
  }

  private static ByteBuffer decode(
      BlockScaled encoding, byte[] codes, int chunk, int columns, float[] scales, Dtype to) {
    ByteBuffer out = buffer(elements(encoding, codes.length) * to.bits() / Byte.SIZE);
    for (int at = 0; at < codes.length; at += chunk) {
      ByteBuffer part = ByteBuffer.wrap(codes, at, Math.min(chunk, codes.length - at));
      Casting.decode(encoding, part, elements(encoding, at), columns, scales, out, to);
      assertFalse(part.hasRemaining());
    }
    assertFalse(out.hasRemaining());
    return out.flip();
  }

  /** How many numbers so many bytes hold. */
  private static int elements(BlockScaled encoding, int bytes) {
    return bytes * Byte.SIZE / encoding.dtype().bits() * encoding.perValue();
  }
}

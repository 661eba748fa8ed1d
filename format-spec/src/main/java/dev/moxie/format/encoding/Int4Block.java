package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The encodings {@code int4_block_B}: whole numbers from −8 to 7, stored with 8 added, two to a
 * byte, the first in the low bits, with a scale for every B of a row.
 *
 * @param blockColumns a power of two from 16 to 256
 */
public record Int4Block(int blockColumns) implements Quantised {
  private static final int ZERO = 8;
  private static final Pattern ID = Pattern.compile("int4_block_(16|32|64|128|256)");

  /** Numbers that the element of largest magnitude may come to; below −8 it is cut off. */
  private static final float[] EXTREMES = {7, -7.25f, -7.5f, -7.75f, -8, -8.25f, -8.5f, -8.75f, -9};

  public Int4Block {
    if (blockColumns < 16 || blockColumns > 256 || Integer.bitCount(blockColumns) != 1) {
      throw new IllegalArgumentException(
          "blocks of %d; expected a power of two from 16 to 256".formatted(blockColumns));
    }
  }

  static Optional<Int4Block> of(String id) {
    Matcher matcher = ID.matcher(id);
    return matcher.matches()
        ? Optional.of(new Int4Block(Integer.parseInt(matcher.group(1))))
        : Optional.empty();
  }

  @Override
  public String id() {
    return "int4_block_" + blockColumns;
  }

  @Override
  public Dtype dtype() {
    return Dtype.U8;
  }

  @Override
  public int perValue() {
    return 2;
  }

  @Override
  public boolean holds(Shape matrix) {
    return matrix.rank() == 2 && matrix.dim(1) % blockColumns == 0;
  }

  @Override
  public float number(MemorySegment values, long index) {
    return numberAt(values, index);
  }

  /** A number, of two to a byte, the first in the low bits. */
  static float numberAt(MemorySegment values, long index) {
    int both = values.get(ValueLayout.JAVA_BYTE, index / 2);
    return number(index % 2 == 0 ? both : both >> 4);
  }

  /** The numbers of the sixteen codes. */
  public static float[] numbers() {
    float[] numbers = new float[16];
    for (int code = 0; code < numbers.length; code++) {
      numbers[code] = number(code);
    }
    return numbers;
  }

  /** The number of a code, which the lowest four bits are. */
  public static float number(int code) {
    return (code & 0xf) - ZERO;
  }

  @Override
  public MemorySegment decode(
      ElementBlock block, MemorySegment values, long at, int count, float[] scales) {
    return block.decodeInt4(values, at, count, scales);
  }

  @Override
  public int candidates() {
    return EXTREMES.length;
  }

  @Override
  public float scale(float extreme, int candidate) {
    return candidate == 0 ? Math.abs(extreme) / EXTREMES[0] : extreme / EXTREMES[candidate];
  }

  @Override
  public void round(float[] elements, int from, int to, float scale, float[] numbers) {
    Kernels.round(elements, from, to, scale, -ZERO, ZERO - 1, numbers);
  }

  @Override
  public float step(float number) {
    return 1;
  }

  @Override
  public float largest() {
    return ZERO - 1;
  }

  @Override
  public int code(float number) {
    return (int) number + ZERO;
  }
}

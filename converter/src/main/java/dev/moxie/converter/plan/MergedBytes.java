package dev.moxie.converter.plan;

import dev.moxie.format.encoding.Casting;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.PackageWriter;
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;

/**
 * A matrix and what an adapter adds to it, row after row: products of factors summed in double
 * precision in the order of their rank, times the scale, plus the element, rounded once.
 */
final class MergedBytes implements PackageWriter.LeafBytes {
  private final String where;
  private final PackageWriter.LeafBytes elements;
  private final Dtype to;
  private final int rank;
  private final double scale;
  private final int columns;
  private final double[] left;
  private final double[] right;
  private final double[] sums;
  private final ByteBuffer wide;
  private final ByteBuffer narrow;
  private int row;

  /**
   * A merge.
   *
   * @param where the matrix, for messages
   * @param elements of the matrix, as float32
   */
  MergedBytes(
      String where,
      PackageWriter.LeafBytes elements,
      Transform.Merge merge,
      long rows,
      FactorReader factors)
      throws IOException {
    this.where = where;
    this.elements = elements;
    this.to = merge.to();
    this.rank = merge.update().rank();
    this.scale = merge.update().scale();
    this.columns = Math.toIntExact(merge.columns());
    this.left = factors.left(merge.update(), rows);
    this.right = factors.right(merge.update(), columns);
    this.sums = new double[columns];
    this.wide = ByteBuffer.allocate(columns * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    this.narrow =
        ByteBuffer.allocate(columns * to.bits() / Byte.SIZE)
            .order(ByteOrder.LITTLE_ENDIAN)
            .limit(0);
  }

  @Override
  public void read(ByteBuffer into) throws IOException {
    while (into.hasRemaining()) {
      if (!narrow.hasRemaining()) {
        next();
      }
      SourceReader.take(narrow, into);
    }
  }

  private void next() throws IOException {
    elements.read(wide.clear());
    FloatBuffer floats = wide.flip().asFloatBuffer();
    add();
    for (int column = 0; column < columns; column++) {
      double sum = floats.get(column) + scale * sums[column];
      if (!(Math.abs(sum) < limit())) {
        throw new UnsupportedException(
            "%s, row %d, column %d".formatted(where, row, column),
            "a sum that " + to + " has",
            String.valueOf(sum),
            "the adapter, or the matrix, is damaged, or the sum needs --dtype f32");
      }
      floats.put(column, to == Dtype.F32 ? (float) sum : toOdd(sum));
    }
    Casting.cast(wide, Dtype.F32, narrow.clear(), to);
    narrow.flip();
    row++;
  }

  private void add() {
    Arrays.fill(sums, 0);
    for (int n = 0; n < rank; n++) {
      double factor = left[row * rank + n];
      int start = n * columns;
      for (int column = 0; column < columns; column++) {
        sums[column] += factor * right[start + column];
      }
    }
  }

  /** The magnitude from which on a sum is rounded to infinity. */
  private double limit() {
    return switch (to) {
      case F16 -> 65520;
      case BF16 -> 0x1.FFp127;
      default -> 0x1.FFFFFFp127;
    };
  }

  /**
   * A float32 that is rounded further as the value itself would be: what was cut off shows in its
   * last bit.
   */
  private static float toOdd(double value) {
    float near = (float) value;
    if (near == value) {
      return near;
    }
    float below = Math.abs(near) > Math.abs(value) ? Math.nextAfter(near, 0) : near;
    return Float.intBitsToFloat(Float.floatToRawIntBits(below) | 1);
  }
}

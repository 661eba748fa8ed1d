package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Elements from one dtype to another, a chunk at a time; all bytes are little-endian. */
public final class Casting {
  private Casting() {}

  /** Casts all remaining elements of {@code in}, appending them to {@code out}. */
  public static void cast(ByteBuffer in, Dtype from, ByteBuffer out, Dtype to) {
    var block = new ElementBlock();
    MemorySegment source = MemorySegment.ofBuffer(in);
    MemorySegment target = MemorySegment.ofBuffer(out);
    long elements = source.byteSize() * Byte.SIZE / from.bits();
    for (long done = 0; done < elements; done += ElementBlock.SIZE) {
      int count = (int) Math.min(ElementBlock.SIZE, elements - done);
      MemorySegment values = block.decode(source, bytes(done, from), count, from);
      block.encode(values, count, target, bytes(done, to), to);
    }
    passed(in, out, bytes(elements, to));
  }

  /**
   * Decodes all remaining values of {@code in}, appending the elements to {@code out}.
   *
   * @param first index of the first element in the matrix
   * @param columns of the matrix
   * @param scales row-major
   */
  public static void decode(
      BlockScaled encoding,
      ByteBuffer in,
      long first,
      long columns,
      float[] scales,
      ByteBuffer out,
      Dtype to) {
    var block = new ElementBlock();
    float[] scaleOfElement = new float[ElementBlock.SIZE];
    MemorySegment source = MemorySegment.ofBuffer(in);
    MemorySegment target = MemorySegment.ofBuffer(out);
    long values = source.byteSize() * Byte.SIZE / encoding.dtype().bits();
    long elements = values * encoding.perValue();
    for (long done = 0; done < elements; done += ElementBlock.SIZE) {
      int count = (int) Math.min(ElementBlock.SIZE, elements - done);
      spread(encoding, scales, first + done, columns, scaleOfElement, count);
      long at = bytes(done / encoding.perValue(), encoding.dtype());
      MemorySegment products = encoding.decode(block, source, at, count, scaleOfElement);
      block.encode(products, count, target, bytes(done, to), to);
    }
    passed(in, out, bytes(elements, to));
  }

  /** The scale of every element, of so many from that one on. */
  private static void spread(
      BlockScaled encoding,
      float[] scales,
      long first,
      long columns,
      float[] scaleOfElement,
      int count) {
    long row = first / columns;
    long column = first % columns;
    int size = encoding.blockColumns();
    int blocksPerRow = Math.toIntExact(Math.ceilDiv(columns, size));
    int done = 0;
    while (done < count) {
      int scaleRow = Math.toIntExact(row / encoding.blockRows()) * blocksPerRow;
      long end = Math.min(columns, (column / size + 1) * size);
      int run = (int) Math.min(end - column, count - done);
      Arrays.fill(scaleOfElement, done, done + run, scales[scaleRow + (int) (column / size)]);
      done += run;
      column += run;
      if (column == columns) {
        column = 0;
        row++;
      }
    }
  }

  private static void passed(ByteBuffer in, ByteBuffer out, long written) {
    in.position(in.limit());
    out.position(out.position() + Math.toIntExact(written));
  }

  private static long bytes(long elements, Dtype dtype) {
    return elements * dtype.bits() / Byte.SIZE;
  }
}

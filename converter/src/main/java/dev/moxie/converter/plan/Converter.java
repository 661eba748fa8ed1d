package dev.moxie.converter.plan;

import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Elements from one dtype to another, a chunk at a time; all bytes are little-endian. */
final class Converter {
  private Converter() {}

  /** Casts all remaining elements of {@code in}, appending them to {@code out}. */
  static void cast(ByteBuffer in, Dtype from, ByteBuffer out, Dtype to) {
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
   * Dequantises all remaining e4m3 elements of {@code in}, appending them to {@code out}.
   *
   * @param first index of the first of them in the matrix
   * @param columns of the matrix
   * @param scales row-major
   */
  static void dequantise(
      ByteBuffer in, long first, long columns, float[] scales, ByteBuffer out, Dtype to) {
    var block = new ElementBlock();
    float[] scaleOfElement = new float[ElementBlock.SIZE];
    MemorySegment source = MemorySegment.ofBuffer(in);
    MemorySegment target = MemorySegment.ofBuffer(out);
    for (long done = 0; done < source.byteSize(); done += ElementBlock.SIZE) {
      int count = (int) Math.min(ElementBlock.SIZE, source.byteSize() - done);
      spread(scales, first + done, columns, scaleOfElement, count);
      MemorySegment values = block.dequantise(source, done, count, scaleOfElement);
      block.encode(values, count, target, bytes(done, to), to);
    }
    passed(in, out, bytes(source.byteSize(), to));
  }

  /** The scale of every element, of so many from that one on. */
  private static void spread(
      float[] scales, long first, long columns, float[] scaleOfElement, int count) {
    long row = first / columns;
    long column = first % columns;
    int blocksPerRow = Math.toIntExact(Fp8Blocks.blocks(columns));
    int done = 0;
    while (done < count) {
      int scaleRow = Math.toIntExact(row / Fp8Blocks.SIZE) * blocksPerRow;
      long end = Math.min(columns, (column / Fp8Blocks.SIZE + 1) * Fp8Blocks.SIZE);
      int run = (int) Math.min(end - column, count - done);
      float scale = scales[scaleRow + (int) (column / Fp8Blocks.SIZE)];
      Arrays.fill(scaleOfElement, done, done + run, scale);
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

package dev.moxie.converter.plan;

import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.safetensors.Dtype;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Elements from one dtype to another, a chunk at a time. */
final class Converter {
  private Converter() {}

  /** Casts all remaining elements of {@code in}, little-endian, appending them to {@code out}. */
  static void cast(ByteBuffer in, Dtype from, ByteBuffer out, Dtype to) {
    ByteBuffer source = in.order(ByteOrder.LITTLE_ENDIAN);
    while (source.hasRemaining()) {
      float value =
          switch (from) {
            case F32 -> source.getFloat();
            case BF16 -> Float.intBitsToFloat(source.getShort() << 16);
            case F16 -> Float.float16ToFloat(source.getShort());
            default -> throw new IllegalArgumentException("no cast from " + from);
          };
      put(value, out, to);
    }
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
    long row = first / columns;
    long column = first % columns;
    int blocksPerRow = Math.toIntExact(Fp8Blocks.blocks(columns));
    while (in.hasRemaining()) {
      int scaleRow = Math.toIntExact(row / Fp8Blocks.SIZE) * blocksPerRow;
      long end = Math.min(columns, (column / Fp8Blocks.SIZE + 1) * Fp8Blocks.SIZE);
      int run = (int) Math.min(end - column, in.remaining());
      float scale = scales[scaleRow + (int) (column / Fp8Blocks.SIZE)];
      for (int i = 0; i < run; i++) {
        put(Fp8Blocks.value(in.get()) * scale, out, to);
      }
      column += run;
      if (column == columns) {
        column = 0;
        row++;
      }
    }
  }

  private static void put(float value, ByteBuffer out, Dtype to) {
    switch (to) {
      case F32 -> out.putFloat(value);
      case BF16 -> out.putShort(toBf16(value));
      default -> throw new IllegalArgumentException("no cast to " + to);
    }
  }

  /** To nearest, ties to even; what is no number stays none. */
  static short toBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) ((bits >> 16) | 0x40);
    }
    return (short) ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
}

package dev.moxie.format.model;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import org.jspecify.annotations.Nullable;

/**
 * The encoding {@code fp8_block}: e4m3 values with one float32 scale for every block of 128 × 128
 * (DeepSeek-AI, "DeepSeek-V3 Technical Report", 2024, section 3.3.1); the last block of a row or
 * column may be smaller. An element is the product of value and scale, rounded to float32.
 */
public final class Fp8Blocks {
  /** Rows and columns of a block. */
  public static final int SIZE = 128;

  /** Of the values. */
  public static final Dtype VALUES = Dtype.F8_E4M3;

  /** Of the scales. */
  public static final Dtype SCALES = Dtype.F32;

  /** What the name of a checkpoint's tensor is followed by in that of its scales. */
  public static final String SOURCE_SCALES = "_scale_inv";

  private static final float[] VALUE_OF_CODE = valueOfCode();

  private Fp8Blocks() {}

  /** Blocks that cover so many rows or columns. */
  public static long blocks(long extent) {
    return Math.ceilDiv(extent, SIZE);
  }

  /**
   * The tensor that holds the scales of a matrix or expert stack. In a stack every projection has a
   * grid of its own, so no block crosses from gate to up.
   *
   * @throws IllegalArgumentException if the tensor is no matrix
   */
  public static TensorSpec scales(TensorSpec weight) {
    String name = scaleName(weight.name());
    TensorSpec.@Nullable Stack stack = weight.stack();
    if (stack != null) {
      var grid =
          new TensorSpec.Stack(
              stack.firstExpert(), stack.experts(), stack.projections(), grid(stack.each()));
      return new TensorSpec(name, Role.SCALE, weight.layer(), grid.shape(), grid);
    }
    return new TensorSpec(name, Role.SCALE, weight.layer(), grid(weight.shape()), null);
  }

  /** The grid of scales of a matrix [rows, columns]. */
  public static Shape grid(Shape matrix) {
    if (matrix.rank() != 2) {
      throw new IllegalArgumentException(
          "a tensor of shape " + matrix + " has no 128 × 128 blocks");
    }
    return Shape.of(blocks(matrix.dim(0)), blocks(matrix.dim(1)));
  }

  /** The name of the scales of a tensor. */
  public static String scaleName(String weight) {
    return weight.endsWith(".weight")
        ? weight.substring(0, weight.length() - ".weight".length()) + ".scale"
        : weight;
  }

  /** The value of an e4m3 code (Micikevicius et al., "FP8 Formats for Deep Learning", 2022). */
  public static float value(byte code) {
    return VALUE_OF_CODE[code & 0xff];
  }

  private static float[] valueOfCode() {
    float[] values = new float[256];
    for (int code = 0; code < values.length; code++) {
      values[code] = decode((byte) code);
    }
    return values;
  }

  private static float decode(byte code) {
    int exponent = code >> 3 & 0xf;
    int mantissa = code & 7;
    float magnitude;
    if (exponent == 0xf && mantissa == 7) {
      magnitude = Float.NaN;
    } else if (exponent == 0) {
      magnitude = mantissa * 0x1p-9f;
    } else {
      magnitude = Math.scalb(8f + mantissa, exponent - 10);
    }
    return code < 0 ? -magnitude : magnitude;
  }
}

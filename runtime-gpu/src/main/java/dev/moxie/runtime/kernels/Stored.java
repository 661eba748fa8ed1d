package dev.moxie.runtime.kernels;

import java.util.Locale;

/**
 * A matrix, or several of one shape one after the other, in the memory of a machine as they are
 * stored; scales are float32, those of mxfp4 bytes.
 *
 * @param weights address of the numbers
 * @param scales address of their scales, 0 where there are none
 * @param rows of one matrix
 * @param blockRows rows that share a scale; 1 without scales
 * @param blockColumns columns that do
 */
record Stored(
    String name,
    long weights,
    long scales,
    Encoding encoding,
    int rows,
    int columns,
    int blockRows,
    int blockColumns) {

  /** In the order of encodings.h, and after them general.h's. */
  enum Encoding {
    BF16(0, 16, 3, 3, 8, 4),
    F16(1, 16, 2, 2, 8, 4),
    FP8(2, 8, 2, 2, 16, 4),
    INT8(3, 8, 2, 2, 16, 4),
    INT4(4, 4, 2, 8, 32, 2),
    MXFP4(5, 4, 2, 8, 32, 2),
    F32(6, 32, 0, 0, 0, 0);

    private final int code;
    private final int bits;
    private final int parts;
    private final int productColumns;
    private final int held;
    private final int pieces;

    Encoding(int code, int bits, int parts, int productColumns, int held, int pieces) {
      this.code = code;
      this.bits = bits;
      this.parts = parts;
      this.productColumns = productColumns;
      this.held = held;
      this.pieces = pieces;
    }

    /** Its number in the headers. */
    int code() {
      return code;
    }

    /** Bytes of so many elements. */
    long bytes(long elements) {
      return elements * bits / 8;
    }

    /** Numbers that keep the precision of an activation. */
    int parts() {
      return parts;
    }

    /** Columns of a tensor-core product that a token takes. */
    int productColumns() {
      return productColumns;
    }

    /** Weights that a thread loads at once; the columns of a matrix are a multiple. */
    int held() {
      return held;
    }

    /** Weights of a row that four threads load at once. */
    int piece() {
      return 4 * held;
    }

    /** Columns of a step of a warp. */
    int chunk() {
      return pieces * piece();
    }

    /** What its kernels are called by. */
    String id() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Whether the kernels of its encoding take it; others take any. */
  boolean fits() {
    return switch (encoding) {
      case F32 -> false;
      case BF16, F16, INT8 -> columns % encoding.held() == 0;
      case FP8 -> columns % encoding.held() == 0 && blockRows == 128 && blockColumns == 128;
      case INT4, MXFP4 -> columns % encoding.held() == 0 && blockColumns >= encoding.held();
    };
  }
}

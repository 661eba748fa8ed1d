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

  /** As encodings.h, and after it general.h, number them. */
  enum Encoding {
    BF16(0, 16, 3, 3, 8),
    F16(1, 16, 2, 2, 8),
    FP8(2, 8, 2, 2, 16),
    INT8(3, 8, 2, 2, 16),
    INT4(4, 4, 2, 8, 32),
    MXFP4(5, 4, 2, 8, 32),
    F32(6, 32, 0, 0, 0);

    private final int code;
    private final int bits;
    private final int parts;
    private final int productColumns;
    private final int held;

    Encoding(int code, int bits, int parts, int productColumns, int held) {
      this.code = code;
      this.bits = bits;
      this.parts = parts;
      this.productColumns = productColumns;
      this.held = held;
    }

    /** Its number in the headers. */
    int code() {
      return code;
    }

    /** Bytes of so many elements. */
    long bytes(long elements) {
      return elements * bits / 8;
    }

    /** Whether elements are numbers of sixteen bits. */
    boolean isWide() {
      return bits == 16;
    }

    private boolean isNarrow() {
      return bits == 4;
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

    /** Pieces of a step through slots: SLOT_L of decode.cu. */
    private int pieces() {
      return isNarrow() ? 4 : 2;
    }

    /** Columns of such a step. */
    int step() {
      return pieces() * piece();
    }

    /** Slots of a warp that takes so many tiles: DEPTH of decode.cu. */
    int slots(int tiles) {
      return isNarrow() ? 5 - tiles : 8 / tiles;
    }

    /** Bytes of a warp's slots, as Slot of product.h cuts them. */
    long slotBytes(int tiles) {
      return slots(tiles) * slot(tiles);
    }

    /** Bytes of one of them. */
    long slot(int tiles) {
      int words =
          switch (this) {
            case FP8 -> pieces() / 2;
            case INT8 -> 16;
            case INT4 -> 64 * pieces();
            case MXFP4 -> 16 * (pieces() + 1);
            default -> 0;
          };
      int scales = Math.ceilDiv(words * Integer.BYTES, 16) * 16;
      return tiles * (16L * pieces() * 64 + scales);
    }

    /** Bytes of a step's activations of a token. */
    long activations() {
      return parts * (step() + (isWide() ? 32L : 8L)) * Short.BYTES;
    }

    /** Bytes of the scale of a block; 0 where there are none. */
    int scaleBytes() {
      return switch (this) {
        case MXFP4 -> Byte.BYTES;
        case FP8, INT8, INT4 -> Float.BYTES;
        case BF16, F16, F32 -> 0;
      };
    }

    /** What its kernels are called by. */
    String id() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** So many of its matrices, as they are read. */
  Launch.Weights read(int matrices) {
    long blocks = (long) Math.ceilDiv(rows, blockRows) * Math.ceilDiv(columns, blockColumns);
    long each = encoding.bytes((long) rows * columns) + blocks * encoding.scaleBytes();
    return new Launch.Weights(name, matrices * each);
  }

  /** Whether the kernels of its encoding take it; others take any. */
  boolean fits() {
    return switch (encoding) {
      case F32 -> false;
      case BF16, F16, INT8 -> columns % encoding.held() == 0;
      case FP8 -> columns % encoding.held() == 0 && blockRows == 128 && blockColumns == 128;
      case INT4 -> columns % blockColumns == 0 && blockColumns % encoding.held() == 0;
      // Scales are fetched four at a time, of whichever matrix of a stack.
      case MXFP4 -> columns % encoding.held() == 0 && (rows * (columns / encoding.held())) % 4 == 0;
    };
  }
}

package dev.moxie.verifier.oracle;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** A stored matrix, widened row by row; exact, since every stored dtype fits a double. */
final class WeightMatrix {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final IndexRow row;
  private final MemorySegment bytes;
  private final int columns;

  WeightMatrix(MoxiePackage pack, IndexRow row) {
    this.row = row;
    this.bytes = pack.bytes(row);
    this.columns = Math.toIntExact(row.shape().dim(row.shape().rank() - 1));
  }

  int rows() {
    return Math.toIntExact(row.shape().elements() / columns);
  }

  int columns() {
    return columns;
  }

  void read(int index, double[] into) {
    long start = (long) index * columns;
    for (int c = 0; c < columns; c++) {
      into[c] = element(start + c);
    }
  }

  private double element(long index) {
    return switch (row.dtype()) {
      case F32 -> bytes.get(FLOAT, index * 4);
      case BF16 -> Float.intBitsToFloat(bytes.get(SHORT, index * 2) << 16);
      case F16 -> Float.float16ToFloat(bytes.get(SHORT, index * 2));
      default ->
          throw new UnsupportedException(
              row.describe(), "F32, BF16 or F16", row.dtype().toString(), "update Moxie");
    };
  }
}

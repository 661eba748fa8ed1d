package dev.moxie.runtime.plain;

import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Codes of four bits, two to a byte, the first in the low bits, with a scale for each block. */
abstract sealed class FourBits extends StoredMatrix.Elements permits E2m1, Int4 {
  /** Elements of a row that are read together. */
  static final int GROUP = 2 * Lanes.COUNT;

  final ScaleGrid grid;

  /** By which a column is shifted to its block. */
  final int shift;

  private final boolean vectors;

  FourBits(Shape matrix, MemorySegment values, ScaleGrid grid) {
    super(matrix, values, grid);
    this.grid = grid;
    shift = Integer.numberOfTrailingZeros(grid.columns());
    vectors = Lanes.BYTES_FIT && grid.columns() % GROUP == 0;
  }

  /** Whether two columns of a byte share a scale, and shifting a column gives its block. */
  static boolean shifts(ScaleGrid grid) {
    return grid.columns() > 1 && Integer.bitCount(grid.columns()) == 1;
  }

  /** The number of a code from 0 to 15. */
  abstract float number(int code);

  /** What {@link #read} says, with vectors. */
  abstract void readVectors(int row, float[] into, int at);

  @Override
  public final boolean paired() {
    return true;
  }

  @Override
  public final void read(int row, float[] into, int at) {
    if (vectors) {
      readVectors(row, into, at);
      return;
    }
    long first = first(row) / 2;
    long place = grid.first(row);
    for (int from = 0; from < columns(); from += GROUP) {
      for (int i = 0; i < Lanes.COUNT; i++) {
        int both = bytes.get(ValueLayout.JAVA_BYTE, first + from / 2 + i);
        float scale = grid.at(place + ((from + 2 * i) >> shift));
        into[at + from + i] = number(both & 15) * scale;
        into[at + from + Lanes.COUNT + i] = number(both >> 4 & 15) * scale;
      }
    }
  }

  @Override
  public final int few() {
    return vectors ? FEWER : 0;
  }
}

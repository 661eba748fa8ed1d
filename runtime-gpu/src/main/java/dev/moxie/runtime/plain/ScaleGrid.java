package dev.moxie.runtime.plain;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Scales;
import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;

/** The scales of a matrix, where they are stored. */
final class ScaleGrid {
  private final MemorySegment scales;
  private final Dtype dtype;
  private final int rows;
  private final int columns;
  private final int across;

  /**
   * @param columns of the matrix
   */
  ScaleGrid(BlockScaled blocks, MemorySegment scales, Dtype dtype, int columns) {
    this.scales = scales;
    this.dtype = dtype;
    this.rows = blocks.blockRows();
    this.columns = blocks.blockColumns();
    this.across = Math.ceilDiv(columns, this.columns);
  }

  long storedBytes() {
    return scales.byteSize();
  }

  /** Columns of a block. */
  int columns() {
    return columns;
  }

  /** Where the scales of a row begin. */
  long first(int row) {
    return (long) (row / rows) * across;
  }

  /** One of them. */
  float at(long place) {
    return Scales.get(scales, dtype, place);
  }
}

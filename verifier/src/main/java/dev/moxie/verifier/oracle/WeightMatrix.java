package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Elements;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import org.jspecify.annotations.Nullable;

/**
 * A stored matrix, widened row by row; exact, since every stored dtype fits a double. Block-scaled
 * elements are the float32 products that the format defines them as.
 */
public final class WeightMatrix {
  private final IndexRow row;
  private final Elements elements;
  private final int columns;
  private final boolean rounded;
  private final @Nullable Elements scales;
  private final int scaleRows;
  private final int scaleColumns;
  private final ScaleShift shift;

  /**
   * A cyclic displacement of the grid of block scales: each block takes the scale of the block so
   * many rows above and columns to the left, after all were moved on by so many in reading order.
   */
  public record ScaleShift(int rows, int columns, int inOrder) {
    public static final ScaleShift NONE = new ScaleShift(0, 0, 0);
  }

  /**
   * The matrix of a row of the index.
   *
   * @param shift of its block scales
   * @param rounded whether bfloat16 elements are taken for rounded ones
   */
  WeightMatrix(MoxiePackage pack, IndexRow row, ScaleShift shift, boolean rounded) {
    this.row = row;
    this.elements = elements(pack, row);
    this.columns = Math.toIntExact(row.shape().dim(row.shape().rank() - 1));
    this.rounded = rounded && row.dtype() == Dtype.BF16;
    IndexRow grid = pack.scales(row).orElse(null);
    this.scales = grid == null ? null : elements(pack, grid);
    this.scaleRows = grid == null ? 0 : Math.toIntExact(grid.shape().dim(0));
    this.scaleColumns = grid == null ? 0 : Math.toIntExact(grid.shape().dim(1));
    this.shift = shift;
  }

  int rows() {
    return Math.toIntExact(row.shape().elements() / columns);
  }

  int columns() {
    return columns;
  }

  /** Reads one row. */
  void read(int index, double[] into) {
    long start = (long) index * columns;
    for (int c = 0; c < columns; c++) {
      into[c] = elements.get(start + c) * scale(index, c);
      if (scales != null) {
        into[c] = (float) into[c];
      }
    }
  }

  /**
   * Standard deviation of the rounding that conversion to bfloat16 may have done to an element: of
   * one unit in the last place, uniformly distributed, over √12. Zero where nothing was rounded.
   */
  double roundingOf(double value) {
    return rounded && value != 0 ? Bfloat16.ulp(value) / Math.sqrt(12) : 0;
  }

  private double scale(int row, int column) {
    if (scales == null) {
      return 1;
    }
    int r = Math.floorMod(row / Fp8Blocks.SIZE - shift.rows(), scaleRows);
    int c = Math.floorMod(column / Fp8Blocks.SIZE - shift.columns(), scaleColumns);
    int place = Math.floorMod(r * scaleColumns + c - shift.inOrder(), scaleRows * scaleColumns);
    return scales.get(place);
  }

  private static Elements elements(MoxiePackage pack, IndexRow row) {
    return new Elements(row.describe(), pack.bytes(row), row.dtype());
  }
}

package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Elements;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import org.jspecify.annotations.Nullable;

/**
 * A matrix of a package, widened row by row; exact, since every stored dtype fits a double.
 * Block-scaled elements are the float32 products that the format defines them as.
 */
final class StoredMatrix implements WeightMatrix {
  private final IndexRow row;
  private final Elements elements;
  private final int columns;
  private final boolean rounded;
  private final Precision readAs;
  private final @Nullable Elements scales;
  private final int scaleRows;
  private final int scaleColumns;
  private final ScaleShift shift;

  /**
   * The matrix of a row of the index.
   *
   * @param shift of its block scales
   * @param rounded whether bfloat16 elements are taken for rounded ones
   * @param readAs what a reference rounds elements to before it computes with them
   */
  StoredMatrix(
      MoxiePackage pack, IndexRow row, ScaleShift shift, boolean rounded, Precision readAs) {
    this.row = row;
    this.elements = elements(pack, row);
    this.columns = Math.toIntExact(row.shape().dim(row.shape().rank() - 1));
    this.rounded = rounded && row.dtype() == Dtype.BF16;
    this.readAs = readAs;
    IndexRow grid = pack.scales(row).orElse(null);
    this.scales = grid == null ? null : elements(pack, grid);
    this.scaleRows = grid == null ? 0 : Math.toIntExact(grid.shape().dim(0));
    this.scaleColumns = grid == null ? 0 : Math.toIntExact(grid.shape().dim(1));
    this.shift = shift;
  }

  @Override
  public int rows() {
    return Math.toIntExact(row.shape().elements() / columns);
  }

  @Override
  public int columns() {
    return columns;
  }

  @Override
  public void read(int index, double[] into) {
    long start = (long) index * columns;
    for (int c = 0; c < columns; c++) {
      into[c] = elements.get(start + c) * scale(index, c);
      if (scales != null) {
        into[c] = (float) into[c];
      }
    }
  }

  @Override
  public double roundingOf(double value) {
    if (rounded) {
      return Precision.BF16.deviation(value);
    }
    boolean exact = readAs == Precision.F32 || readAs.round(value) == value;
    return exact ? 0 : readAs.deviation(value);
  }

  private double scale(int row, int column) {
    if (scales == null || shift.dropped()) {
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

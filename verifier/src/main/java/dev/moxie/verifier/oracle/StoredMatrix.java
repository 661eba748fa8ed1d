package dev.moxie.verifier.oracle;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import org.jspecify.annotations.Nullable;

/**
 * A matrix of a package, widened row by row; exact, since every stored dtype fits a double.
 * Block-scaled elements are the float32 products that the format defines them as.
 */
final class StoredMatrix implements WeightMatrix {
  private final Elements elements;
  private final int rows;
  private final int columns;
  private final boolean rounded;
  private final @Nullable Quantised quantised;
  private final Dtype dtype;
  private final Precisions readAs;
  private final @Nullable BlockScaled encoding;
  private final int scaleRows;
  private final int scaleColumns;
  private final ScaleShift shift;

  /**
   * The matrix of a row of the index.
   *
   * @param shift of its block scales
   * @param rounded whether bfloat16 elements are taken for rounded ones, and quantised ones for
   *     what they were made from
   * @param readAs what both sides round elements to before they compute with them
   */
  StoredMatrix(
      MoxiePackage pack, IndexRow row, ScaleShift shift, boolean rounded, Precisions readAs) {
    Shape matrix = MoxiePackage.matrix(row);
    this.elements = pack.elements(row);
    this.columns = Math.toIntExact(matrix.dim(matrix.rank() - 1));
    this.rows = Math.toIntExact(matrix.elements() / columns);
    this.rounded = rounded && row.dtype() == Dtype.BF16;
    this.quantised =
        rounded
                && !IndexRow.COPY.equals(row.transform())
                && row.encoding() instanceof Quantised made
            ? made
            : null;
    this.dtype = row.dtype();
    this.readAs = readAs;
    this.encoding = row.encoding() instanceof BlockScaled scaled ? scaled : null;
    Shape grid = encoding == null ? Shape.of(0, 0) : encoding.grid(matrix);
    this.scaleRows = Math.toIntExact(grid.dim(0));
    this.scaleColumns = Math.toIntExact(grid.dim(1));
    this.shift = shift;
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public int columns() {
    return columns;
  }

  @Override
  public void read(int index, double[] into) {
    long start = (long) index * columns;
    if (encoding == null || shift.equals(ScaleShift.NONE)) {
      elements.read(start, columns, into);
      return;
    }
    for (int c = 0; c < columns; c++) {
      into[c] =
          shift.dropped()
              ? elements.number(start + c)
              : elements.scaled(start + c, place(encoding, index, c));
    }
  }

  @Override
  public double roundingOf(int row, int column, double value) {
    double reference = ofReference(row, column, value);
    return readAs.alike() ? reference : readAs.mean(reference, read(readAs.runtime(), value));
  }

  private double ofReference(int row, int column, double value) {
    if (quantised != null) {
      long index = (long) row * columns + column;
      float number = (float) elements.number(index);
      double step = quantised.step(number) * Math.abs(elements.scale(index));
      // Anywhere within half a step; of what may have been cut off, a step.
      return Math.abs(number) < quantised.largest() ? step / Math.sqrt(12) : step;
    }
    if (rounded) {
      return Precision.BF16.deviation(value);
    }
    return read(readAs.reference(), value);
  }

  private double read(Precision precision, double value) {
    return isExactIn(precision) ? 0 : precision.roundedOff(value);
  }

  /** Whether every element is a number of a precision. */
  private boolean isExactIn(Precision precision) {
    return precision == Precision.F32 || (dtype == precision.dtype() && encoding == null);
  }

  @Override
  public boolean isExact() {
    return !rounded
        && quantised == null
        && isExactIn(readAs.reference())
        && isExactIn(readAs.runtime());
  }

  /** Of the scale that an element is supposed to have. */
  private int place(BlockScaled blocks, int row, int column) {
    int r = Math.floorMod(row / blocks.blockRows() - shift.rows(), scaleRows);
    int c = Math.floorMod(column / blocks.blockColumns() - shift.columns(), scaleColumns);
    return Math.floorMod(r * scaleColumns + c - shift.inOrder(), scaleRows * scaleColumns);
  }
}

package dev.moxie.verifier.equivalence;

import dev.moxie.converter.adapter.LowRank;
import dev.moxie.converter.plan.Transform;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.MappedTensors;
import dev.moxie.verifier.oracle.Precision;
import java.lang.foreign.MemorySegment;
import java.util.function.LongToDoubleFunction;

/**
 * Holds a matrix that an adapter was merged into to what its elements are, each within a bound: it
 * must be what a number rounds to that is off the sum computed here by no more than two orders of
 * summation can differ. Shares nothing with the converter's arithmetic.
 */
final class MergedLeaf {
  /** The unit roundoff of double precision. */
  private static final double ROUNDOFF = 0x1p-53;

  private final LongToDoubleFunction elements;
  private final double scale;
  private final int rank;
  private final int columns;
  private final Elements leftElements;
  private final LowRank.Factor left;

  /** Of the right factor, column after column. */
  private final double[] right;

  private final double[] sums;
  private final double[] magnitudes;
  private long row = -1;

  /**
   * A leaf.
   *
   * @param elements of the source, row-major
   * @param adapter the file that the factors are in
   */
  MergedLeaf(LongToDoubleFunction elements, Transform.Merge merge, MappedTensors adapter) {
    this.elements = elements;
    this.scale = merge.update().scale();
    this.rank = merge.update().rank();
    this.columns = Math.toIntExact(merge.columns());
    this.left = merge.update().left();
    this.leftElements = elements(adapter, left);
    LowRank.Factor other = merge.update().right();
    Elements rightElements = elements(adapter, other);
    this.right = new double[columns * rank];
    for (int i = 0; i < right.length; i++) {
      right[i] = rightElements.get(other.place(i % rank, i / rank));
    }
    this.sums = new double[columns];
    this.magnitudes = new double[columns];
  }

  private static Elements elements(MappedTensors file, LowRank.Factor factor) {
    String name = factor.tensor().name();
    MemorySegment bytes = file.data(file.require(name));
    return Elements.plain(name, bytes, factor.tensor().dtype());
  }

  /** An element with what is added to it, in double precision. */
  double value(long index) {
    compute(index / columns);
    return elements.applyAsDouble(index) + scale * sums[Math.toIntExact(index % columns)];
  }

  /** How far two such sums can be apart. */
  private double bound(long index) {
    compute(index / columns);
    double magnitude = Math.abs(scale) * magnitudes[Math.toIntExact(index % columns)];
    return 2 * (rank + 2) * ROUNDOFF * (Math.abs(elements.applyAsDouble(index)) + magnitude);
  }

  private void compute(long wanted) {
    if (row == wanted) {
      return;
    }
    row = wanted;
    double[] factors = new double[rank];
    for (int n = 0; n < rank; n++) {
      factors[n] = leftElements.get(left.place(row, n));
    }
    for (int column = 0; column < columns; column++) {
      double sum = 0;
      double magnitude = 0;
      for (int n = 0; n < rank; n++) {
        double product = factors[n] * right[column * rank + n];
        sum += product;
        magnitude += Math.abs(product);
      }
      sums[column] = sum;
      magnitudes[column] = magnitude;
    }
  }

  /** The first byte that is not of an element within its bound; −1 if there is none. */
  long mismatch(MemorySegment found, Dtype dtype, long count) {
    long size = dtype.bits() / Byte.SIZE;
    if (found.byteSize() != count * size) {
      return 0;
    }
    Elements actual = Elements.plain("package", found, dtype);
    for (long i = 0; i < count; i++) {
      double value = value(i);
      double bound = bound(i);
      double least = round(value - bound, dtype);
      double most = round(value + bound, dtype);
      if (!(actual.get(i) >= least && actual.get(i) <= most)) {
        return i * size;
      }
    }
    return -1;
  }

  private static double round(double value, Dtype dtype) {
    return switch (dtype) {
      case BF16 -> Precision.BF16.round(value);
      case F16 -> Precision.F16.round(value);
      default -> (float) value;
    };
  }
}

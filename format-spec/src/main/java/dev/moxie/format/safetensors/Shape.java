package dev.moxie.format.safetensors;

import java.util.ArrayList;
import java.util.List;

/**
 * The extents of a tensor, outermost first; {@code []} is a scalar.
 *
 * @param dims each at least 0
 */
public record Shape(List<Long> dims) {
  public Shape {
    dims = List.copyOf(dims);
    for (long dim : dims) {
      if (dim < 0) {
        throw new IllegalArgumentException("negative extent in " + dims);
      }
    }
  }

  /** A shape of these extents. */
  public static Shape of(long... dims) {
    List<Long> list = new ArrayList<>(dims.length);
    for (long dim : dims) {
      list.add(dim);
    }
    return new Shape(list);
  }

  /** How many extents. */
  public int rank() {
    return dims.size();
  }

  /** One extent. */
  public long dim(int axis) {
    return dims.get(axis);
  }

  /**
   * The number of elements.
   *
   * @throws ArithmeticException if it, or a partial product in the order of the extents, exceeds 63
   *     bits
   */
  public long elements() {
    long product = 1;
    for (long dim : dims) {
      product = Math.multiplyExact(product, dim);
    }
    return product;
  }

  /**
   * Bytes of a tensor of this shape.
   *
   * @throws ArithmeticException on overflow, or if the bits do not fill whole bytes
   */
  public long bytes(Dtype dtype) {
    long bits = Math.multiplyExact(elements(), dtype.bits());
    if (bits % 8 != 0) {
      throw new ArithmeticException(bits + " bits do not fill whole bytes");
    }
    return bits / 8;
  }

  @Override
  public String toString() {
    return dims.toString();
  }
}

package dev.moxie.format.view;

import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.List;

/**
 * A strided window on a tensor: stack, slice, split, transpose and de-interleave in one. The
 * elements of what is seen, in its order, are those that indices {@code i}, the last running
 * fastest, find at {@code offset + Σ i · stride}. It is kept in its simplest form: no extent of 1,
 * and no two neighbours that one extent could stand for.
 *
 * @param offset of the first element, in elements of the tensor
 * @param shape extents, outermost first; none for a single element
 * @param strides in elements of the tensor, one for each extent
 */
public record View(long offset, Shape shape, List<Long> strides) {
  /**
   * A view in its simplest form.
   *
   * @throws IllegalArgumentException if it is not in it, is empty, or leads out of what a number of
   *     63 bits can count
   */
  public View {
    strides = List.copyOf(strides);
    if (strides.size() != shape.rank()) {
      throw new IllegalArgumentException(
          "%d strides for the %d extents of %s".formatted(strides.size(), shape.rank(), shape));
    }
    if (offset < 0) {
      throw new IllegalArgumentException("offset " + offset);
    }
    for (int i = 0; i < strides.size(); i++) {
      if (shape.dim(i) < 2 || strides.get(i) < 1) {
        throw new IllegalArgumentException(
            "an extent of %d with a stride of %d".formatted(shape.dim(i), strides.get(i)));
      }
      if (i > 0 && strides.get(i - 1) == times(strides.get(i), shape.dim(i))) {
        throw new IllegalArgumentException(
            "extents %d and %d of %s with strides %s, which are one"
                .formatted(i - 1, i, shape, strides));
      }
    }
    try {
      long unused = Math.addExact(offset, Math.addExact(reach(shape, strides), 1));
      unused = shape.elements();
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException(
          "offset %d, extents %s and strides %s, more than can be counted"
              .formatted(offset, shape, strides),
          e);
    }
  }

  /** The simplest form of a view of at least one element. */
  public static View of(long offset, List<Long> shape, List<Long> strides) {
    List<Long> extents = new ArrayList<>();
    List<Long> steps = new ArrayList<>();
    for (int i = 0; i < shape.size(); i++) {
      long extent = shape.get(i);
      long stride = strides.get(i);
      int last = extents.size() - 1;
      if (extent == 1) {
        continue;
      }
      if (last >= 0 && steps.get(last) == times(stride, extent)) {
        extents.set(last, Math.multiplyExact(extents.get(last), extent));
        steps.set(last, stride);
      } else {
        extents.add(extent);
        steps.add(stride);
      }
    }
    return new View(offset, new Shape(extents), steps);
  }

  /** So many elements from one on, as they lie. */
  public static View run(long offset, long elements) {
    return of(offset, List.of(elements), List.of(1L));
  }

  /** How many elements are seen. */
  public long elements() {
    return shape.elements();
  }

  /** Whether they lie one after the other, in the order in which they are seen. */
  public boolean isRun() {
    return shape.rank() == 0 || (shape.rank() == 1 && strides.getFirst() == 1);
  }

  /** The first element after the last one that is seen, in the order of the tensor. */
  public long end() {
    return offset + reach(shape, strides) + 1;
  }

  /** The offset, the extents, and as many strides. */
  public List<Long> numbers() {
    List<Long> numbers = new ArrayList<>();
    numbers.add(offset);
    numbers.addAll(shape.dims());
    numbers.addAll(strides);
    return numbers;
  }

  /** Whether it is all of a tensor of so many elements, as it lies. */
  public boolean isAllOf(long elements) {
    return offset == 0 && isRun() && elements() == elements;
  }

  /** How far the last element lies from the first. */
  private static long reach(Shape shape, List<Long> strides) {
    long reach = 0;
    for (int i = 0; i < strides.size(); i++) {
      reach = Math.addExact(reach, Math.multiplyExact(shape.dim(i) - 1, strides.get(i)));
    }
    return reach;
  }

  /** A product, or a number that no stride is. */
  private static long times(long a, long b) {
    return Math.multiplyHigh(a, b) == 0 && a * b > 0 ? a * b : -1;
  }

  @Override
  public String toString() {
    return "offset " + offset + ", extents " + shape + ", strides " + strides;
  }
}

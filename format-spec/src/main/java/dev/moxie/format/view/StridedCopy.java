package dev.moxie.format.view;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Copies a box of elements from one arrangement to another. Where one side steps through memory in
 * the direction in which the other leaps, it goes by small squares, so that each line of the cache
 * is used up before it is left.
 */
final class StridedCopy {
  private static final int SQUARE = 32;

  private final MemorySegment from;
  private final long[] fromSteps;
  private final MemorySegment to;
  private final long[] toSteps;
  private final long[] extents;
  private final int width;

  /** The axes along which either side has its smallest step. */
  private final int fromAxis;

  private final int toAxis;

  private StridedCopy(
      MemorySegment from,
      long[] fromSteps,
      MemorySegment to,
      long[] toSteps,
      long[] extents,
      int width) {
    this.from = from;
    this.fromSteps = fromSteps;
    this.to = to;
    this.toSteps = toSteps;
    this.extents = extents;
    this.width = width;
    this.fromAxis = smallest(fromSteps);
    this.toAxis = smallest(toSteps);
  }

  /**
   * Copies.
   *
   * @param fromStrides in elements, from the first byte of the segment on
   * @param toStrides likewise
   * @param width bytes of an element: 1, 2, 4 or 8
   */
  static void copy(
      MemorySegment from,
      long[] fromStrides,
      MemorySegment to,
      long[] toStrides,
      long[] extents,
      int width) {
    if (extents.length == 0) {
      MemorySegment.copy(from, 0, to, 0, width);
      return;
    }
    new StridedCopy(from, steps(fromStrides, width), to, steps(toStrides, width), extents, width)
        .outer(0, 0, 0);
  }

  private static long[] steps(long[] strides, int width) {
    return Arrays.stream(strides).map(stride -> stride * width).toArray();
  }

  private static int smallest(long[] steps) {
    int axis = 0;
    for (int i = 1; i < steps.length; i++) {
      axis = steps[i] < steps[axis] ? i : axis;
    }
    return axis;
  }

  /** Goes through the axes that are not of the squares, one within the other. */
  private void outer(int axis, long fromAt, long toAt) {
    if (axis == extents.length) {
      squares(fromAt, toAt);
    } else if (axis == fromAxis || axis == toAxis) {
      outer(axis + 1, fromAt, toAt);
    } else {
      for (long i = 0; i < extents[axis]; i++) {
        outer(axis + 1, fromAt + i * fromSteps[axis], toAt + i * toSteps[axis]);
      }
    }
  }

  private void squares(long fromAt, long toAt) {
    if (fromAxis == toAxis) {
      line(toAxis, fromAt, toAt, extents[toAxis]);
      return;
    }
    for (long i = 0; i < extents[fromAxis]; i += SQUARE) {
      for (long j = 0; j < extents[toAxis]; j += SQUARE) {
        long most = Math.min(i + SQUARE, extents[fromAxis]);
        for (long k = i; k < most; k++) {
          line(
              toAxis,
              fromAt + k * fromSteps[fromAxis] + j * fromSteps[toAxis],
              toAt + k * toSteps[fromAxis] + j * toSteps[toAxis],
              Math.min(SQUARE, extents[toAxis] - j));
        }
      }
    }
  }

  private void line(int axis, long fromAt, long toAt, long count) {
    long f = fromSteps[axis];
    long t = toSteps[axis];
    if (f == width && t == width) {
      MemorySegment.copy(from, fromAt, to, toAt, count * width);
      return;
    }
    switch (width) {
      case 1 -> {
        for (long i = 0; i < count; i++) {
          to.set(
              ValueLayout.JAVA_BYTE, toAt + i * t, from.get(ValueLayout.JAVA_BYTE, fromAt + i * f));
        }
      }
      case 2 -> {
        for (long i = 0; i < count; i++) {
          to.set(
              ValueLayout.JAVA_SHORT_UNALIGNED,
              toAt + i * t,
              from.get(ValueLayout.JAVA_SHORT_UNALIGNED, fromAt + i * f));
        }
      }
      case 4 -> {
        for (long i = 0; i < count; i++) {
          to.set(
              ValueLayout.JAVA_INT_UNALIGNED,
              toAt + i * t,
              from.get(ValueLayout.JAVA_INT_UNALIGNED, fromAt + i * f));
        }
      }
      case 8 -> {
        for (long i = 0; i < count; i++) {
          to.set(
              ValueLayout.JAVA_LONG_UNALIGNED,
              toAt + i * t,
              from.get(ValueLayout.JAVA_LONG_UNALIGNED, fromAt + i * f));
        }
      }
      default -> throw new IllegalArgumentException("elements of " + width + " bytes");
    }
  }
}

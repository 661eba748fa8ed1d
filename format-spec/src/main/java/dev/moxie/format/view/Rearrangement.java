package dev.moxie.format.view;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * The way of elements from the tensor that a view is of to what is seen, which lies row-major in
 * bytes of its own, and back.
 */
public final class Rearrangement {
  private final long offset;

  /** Of the view, those with the largest strides first. */
  private final long[] extents;

  private final long[] strides;

  /** In what is seen. */
  private final long[] places;

  private Rearrangement(long offset, long[] extents, long[] strides, long[] places) {
    this.offset = offset;
    this.extents = extents;
    this.strides = strides;
    this.places = places;
  }

  /** The way that a view describes; its strides nest. */
  public static Rearrangement of(View view) {
    int rank = view.shape().rank();
    long[] dense = new long[rank];
    long place = 1;
    for (int i = rank - 1; i >= 0; i--) {
      dense[i] = place;
      place *= view.shape().dim(i);
    }
    int[] order =
        IntStream.range(0, rank)
            .boxed()
            .sorted(Comparator.comparing(view.strides()::get, Comparator.reverseOrder()))
            .mapToInt(Integer::intValue)
            .toArray();
    return new Rearrangement(
        view.offset(),
        Arrays.stream(order).mapToLong(view.shape()::dim).toArray(),
        Arrays.stream(order).mapToLong(view.strides()::get).toArray(),
        Arrays.stream(order).mapToLong(i -> dense[i]).toArray());
  }

  /**
   * Fills what is seen.
   *
   * @param tensor its elements from {@code first} on
   * @param width bytes of an element
   */
  public void gather(MemorySegment tensor, long first, MemorySegment seen, int width) {
    StridedCopy.copy(
        tensor.asSlice((offset - first) * width), strides, seen, places, extents, width);
  }

  /**
   * Puts back what is seen, as far as it belongs between two elements of the tensor.
   *
   * @param tensor its elements from {@code from} to {@code end}
   */
  public void scatter(MemorySegment seen, MemorySegment tensor, long from, long end, int width) {
    scatter(0, offset, 0, new Target(seen, tensor, from, end, width));
  }

  private record Target(MemorySegment seen, MemorySegment tensor, long from, long end, int width) {}

  private void scatter(int axis, long at, long place, Target target) {
    long reach = reach(axis);
    if (at >= target.end() || at + reach < target.from()) {
      return;
    }
    if (at >= target.from() && at + reach < target.end()) {
      copy(axis, at, place, rest(axis, extents), target);
      return;
    }
    // The steps that are wholly inside are one box; the first and last may be so in part.
    long inside = reach(axis + 1);
    long first = Math.clamp(Math.ceilDiv(target.from() - at, strides[axis]), 0, extents[axis]);
    long last =
        Math.clamp(
            Math.floorDiv(target.end() - 1 - inside - at, strides[axis]) + 1, first, extents[axis]);
    if (last > first) {
      long[] some = rest(axis, extents);
      some[0] = last - first;
      copy(axis, at + first * strides[axis], place + first * places[axis], some, target);
    }
    if (first > 0) {
      scatter(
          axis + 1, at + (first - 1) * strides[axis], place + (first - 1) * places[axis], target);
    }
    if (last < extents[axis]) {
      scatter(axis + 1, at + last * strides[axis], place + last * places[axis], target);
    }
  }

  private void copy(int axis, long at, long place, long[] some, Target target) {
    StridedCopy.copy(
        target.seen().asSlice(place * target.width()),
        rest(axis, places),
        target.tensor().asSlice((at - target.from()) * target.width()),
        rest(axis, strides),
        some,
        target.width());
  }

  /** Elements of the tensor, read in one go, and what becomes of them. */
  @FunctionalInterface
  public interface Run {
    /**
     * Takes some elements.
     *
     * @param from the first that is needed
     * @param end after the last
     * @param seen the part of what is seen that they are
     */
    void take(long from, long end, Part seen) throws IOException;
  }

  /** A part of what is seen. */
  public final class Part {
    private final int axis;
    private final long place;

    private Part(int axis, long place) {
      this.axis = axis;
      this.place = place;
    }

    /** Fills it from the elements of the run. */
    public void gather(MemorySegment run, MemorySegment seen, int width) {
      StridedCopy.copy(
          run,
          rest(axis, strides),
          seen.asSlice(place * width),
          rest(axis, places),
          rest(axis, extents),
          width);
    }
  }

  /**
   * Goes through the tensor in its order, in runs of no more than so many elements, or of one step
   * of the smallest stride, whatever they are.
   */
  public void inRuns(long most, Run run) throws IOException {
    int axis = 0;
    while (axis < extents.length - 1 && reach(axis) >= most) {
      axis++;
    }
    inRuns(0, axis, offset, 0, run);
  }

  private void inRuns(int axis, int last, long at, long place, Run run) throws IOException {
    if (axis == last) {
      run.take(at, at + reach(axis) + 1, new Part(axis, place));
      return;
    }
    for (long i = 0; i < extents[axis]; i++) {
      inRuns(axis + 1, last, at + i * strides[axis], place + i * places[axis], run);
    }
  }

  /** How far the last element lies from the first, of one step of the axes before. */
  private long reach(int axis) {
    long reach = 0;
    for (int i = axis; i < extents.length; i++) {
      reach += (extents[i] - 1) * strides[i];
    }
    return reach;
  }

  private static long[] rest(int axis, long[] all) {
    return Arrays.copyOfRange(all, axis, all.length);
  }
}

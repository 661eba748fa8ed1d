package dev.moxie.format.view;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** Tensors cut into views: slices, interleaved parts and transpositions, nested at random. */
final class RandomViews {
  private final Random random;
  private final List<View> views = new ArrayList<>();

  private RandomViews(Random random) {
    this.random = random;
  }

  /** Views that tile a tensor of these extents. */
  static List<View> of(Random random, List<Long> extents) {
    var cutter = new RandomViews(random);
    List<Long> strides = new ArrayList<>(extents);
    long stride = 1;
    for (int i = extents.size() - 1; i >= 0; i--) {
      strides.set(i, stride);
      stride *= extents.get(i);
    }
    cutter.cut(0, extents, strides, 4);
    return cutter.views;
  }

  private void cut(long offset, List<Long> extents, List<Long> strides, int depth) {
    int axis = random.nextInt(extents.size());
    long extent = extents.get(axis);
    long stride = strides.get(axis);
    if (depth == 0 || extent == 1 || random.nextInt(5) == 0) {
      views.add(transposed(offset, extents, strides));
    } else if (random.nextBoolean()) {
      long first = 1 + random.nextLong(extent - 1);
      cut(offset, with(extents, axis, first), strides, depth - 1);
      cut(offset + first * stride, with(extents, axis, extent - first), strides, depth - 1);
    } else {
      long parts = divisor(extent);
      for (long part = 0; part < parts; part++) {
        cut(
            offset + part * stride,
            with(extents, axis, extent / parts),
            with(strides, axis, stride * parts),
            parts > 4 ? 0 : depth - 1);
      }
    }
  }

  private long divisor(long extent) {
    long divisor = 2 + random.nextLong(extent);
    while (extent % divisor != 0) {
      divisor = divisor > extent ? 2 : divisor + 1;
    }
    return divisor;
  }

  private View transposed(long offset, List<Long> extents, List<Long> strides) {
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < extents.size(); i++) {
      order.add(i);
    }
    Collections.shuffle(order, random);
    return View.of(
        offset,
        order.stream().map(extents::get).toList(),
        order.stream().map(strides::get).toList());
  }

  private static List<Long> with(List<Long> numbers, int at, long number) {
    List<Long> changed = new ArrayList<>(numbers);
    changed.set(at, number);
    return changed;
  }
}

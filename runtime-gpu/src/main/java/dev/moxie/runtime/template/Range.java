package dev.moxie.runtime.template;

import java.util.AbstractList;
import org.jspecify.annotations.Nullable;

/** Whole numbers in steps, which Python writes as they were asked for. */
final class Range extends AbstractList<@Nullable Object> {
  /** {@code MAX_RANGE} of jinja2's sandbox. */
  private static final int MOST = 100_000;

  private final long start;
  private final long stop;
  private final long step;
  private final int size;

  Range(long start, long stop, long step, Budget budget) {
    if (step == 0) {
      throw new TemplateException("a range has no step of zero");
    }
    this.start = start;
    this.stop = stop;
    this.step = step;
    double count = Math.max(0, Math.ceil(((double) stop - start) / step));
    if (count > MOST) {
      throw new TemplateException("a range of more than " + MOST + " numbers");
    }
    budget.make((long) count);
    size = (int) count;
  }

  @Override
  public Object get(int index) {
    return start + index * step;
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public String toString() {
    return "range(%d, %d%s)".formatted(start, stop, step == 1 ? "" : ", " + step);
  }
}

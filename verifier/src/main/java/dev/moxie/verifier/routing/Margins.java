package dev.moxie.verifier.routing;

import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Gaps of decisions, rounded down to 9 significant bits, in memory that does not grow with them.
 */
final class Margins {
  /** Bits of a double below its 9 significant ones. */
  private static final int DROPPED_BITS = 44;

  private final SortedMap<Double, Long> counts = new TreeMap<>();
  private long count;

  void add(double gap) {
    counts.merge(coarse(gap), 1L, Long::sum);
    count++;
  }

  private static double coarse(double gap) {
    return Double.longBitsToDouble(Double.doubleToLongBits(gap) >> DROPPED_BITS << DROPPED_BITS);
  }

  /** Of an even number the lower middle one; null if there is none. */
  @Nullable Double median() {
    long below = (count - 1) / 2;
    for (var margin : counts.entrySet()) {
      below -= margin.getValue();
      if (below < 0) {
        return margin.getKey();
      }
    }
    return null;
  }

  /** How many are smaller than a gap that {@link #median} gave. */
  long below(double gap) {
    return counts.headMap(gap).values().stream().mapToLong(Long::longValue).sum();
  }
}

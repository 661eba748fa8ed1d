package dev.moxie.verifier.baseline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class SummariesTest {
  private static final float[] CONTENDERS = {
    Float.NaN, Float.NEGATIVE_INFINITY, -1, -0f, 0f, Float.MIN_VALUE, 1, Float.POSITIVE_INFINITY
  };

  /** Few different values, so that many tie. */
  @Property(tries = 500)
  void theLargestAreThoseOfAWholeSort(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 40) int columns) {
    var random = new Random(seed);
    float[] values = new float[3 * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = CONTENDERS[random.nextInt(CONTENDERS.length)];
    }
    List<List<Baseline.Logit>> found = Summaries.logits(values, columns).largest();
    for (int row = 0; row < 3; row++) {
      int first = row * columns;
      List<Integer> sorted =
          IntStream.range(0, columns)
              .boxed()
              .sorted(Comparator.comparingDouble((Integer id) -> -values[first + id]))
              .limit(Baseline.Logits.LARGEST)
              .toList();
      assertEquals(sorted, found.get(row).stream().map(Baseline.Logit::id).toList());
    }
  }

  /** A vocabulary has hundreds of thousands of words, for each of which a box is 16 bytes. */
  @Test
  void noLogitIsBoxedThatIsNotKept() {
    int columns = 1 << 20;
    float[] values = new float[columns];
    var thread = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = thread.getCurrentThreadAllocatedBytes();
    Summaries.logits(values, columns);
    long allocated = thread.getCurrentThreadAllocatedBytes() - before;
    assertTrue(allocated < 16L * columns, allocated + " bytes");
  }
}

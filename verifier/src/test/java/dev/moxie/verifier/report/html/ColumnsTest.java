package dev.moxie.verifier.report.html;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class ColumnsTest {
  @Property
  void everyItemIsInOneColumnAndThereAreNoMoreThanAllowed(
      @ForAll @IntRange(min = 1, max = 100_000) int items,
      @ForAll @IntRange(min = 1, max = 500) int most) {
    Columns columns = Columns.of(items, most);
    assertTrue(columns.count() <= most);
    int next = 0;
    for (int column = 0; column < columns.count(); column++) {
      assertEquals(next, columns.from(column));
      assertTrue(columns.to(column) > next);
      next = columns.to(column);
    }
    assertEquals(items, next);
  }

  @Property
  void labelsAreFewAndRound(
      @ForAll @IntRange(min = 1, max = 100_000_000) int items,
      @ForAll @IntRange(min = 1, max = 20) int most) {
    int step = Columns.step(items, most);
    assertTrue(Math.ceilDiv(items, step) <= most);
    assertTrue(String.valueOf(step).matches("[125]0*"));
  }
}

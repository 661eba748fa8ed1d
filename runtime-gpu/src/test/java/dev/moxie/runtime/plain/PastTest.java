package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class PastTest {
  private static void put(Past past, int position, int valueWidth) {
    past.put(0, position, new float[] {5}, 0, 1, new float[] {7}, 0, valueWidth);
  }

  /** A width that no array has stands for memory that ends: keys have theirs then already. */
  @Test
  void afterAnAllocationThatFailedTheSameTokenCanBeKept() {
    var past = new Past();
    assertThrows(ArithmeticException.class, () -> put(past, 0, Integer.MAX_VALUE));
    put(past, 0, 1);
    assertEquals(5, past.layer(0).keys()[0][0]);
    assertEquals(7, past.layer(0).values()[0][0]);
  }

  @Test
  void aForkThatFailedHoldsNoBlocks() {
    var memory = new PastMemory(2);
    var past = new Past(memory);
    for (int position = 0; position <= Past.BLOCK; position++) {
      put(past, position, 1);
    }
    assertThrows(IllegalStateException.class, () -> past.fork(Past.BLOCK + 1));
    past.clear();
    assertEquals(0, memory.taken());
  }
}

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
    var memory = new PastMemory(2, 0);
    var past = new Past(memory);
    for (int position = 0; position <= Past.BLOCK; position++) {
      put(past, position, 1);
    }
    assertThrows(IllegalStateException.class, () -> past.fork(Past.BLOCK + 1));
    past.clear();
    assertEquals(0, memory.taken());
  }

  @Test
  void aStepThatFailedLeavesTheStateBeforeIt() {
    var past = new Past();
    past.state(0, 1).next()[0] = 3;
    past.state(0, 1).advance();
    past.keep(1);
    past.state(0, 1).next()[0] = 4;
    past.state(0, 1).advance();
    past.restore();
    assertEquals(3, past.state(0, 1).now()[0]);
  }

  @Test
  void statesAreCountedOnceForEachSequenceAndAForkHasItsOwn() {
    var memory = new PastMemory(10, 4);
    var past = new Past(memory);
    assertEquals(5, past.lacks(1));
    past.state(1, 1).next()[0] = 3;
    past.state(1, 1).advance();
    past.keep(1);
    Past fork = past.fork(1);
    fork.state(1, 1).next()[0] = 5;
    fork.state(1, 1).advance();
    fork.keep(1);
    assertEquals(3, past.state(1, 1).now()[0]);
    assertEquals(10, memory.taken());
    fork.clear();
    past.clear();
    assertEquals(0, memory.taken());
  }
}

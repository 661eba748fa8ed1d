package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** A rate is a lie if less was read than it says. */
class MemorySweepTest {
  @Test
  void everythingIsReadOnceButWhatFillsNoVector() {
    var random = new Random(1);
    byte[] large = new byte[(1 << 20) + 4096];
    byte[] small = new byte[1024];
    random.nextBytes(large);
    random.nextBytes(small);
    var test =
        new MemorySweep(
            List.of(
                MemorySegment.ofArray(large),
                MemorySegment.ofArray(new byte[3]),
                MemorySegment.ofArray(small)));
    assertEquals(large.length + small.length, test.bytes());
    assertEquals(exclusiveOr(large) ^ exclusiveOr(small), test.run());
  }

  private static int exclusiveOr(byte[] bytes) {
    int all = 0;
    for (int at = 0; at < bytes.length; at += Integer.BYTES) {
      all ^= MemorySegment.ofArray(bytes).get(ValueLayout.JAVA_INT_UNALIGNED, at);
    }
    return all;
  }
}

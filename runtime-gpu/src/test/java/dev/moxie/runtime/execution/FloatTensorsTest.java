package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.UnsupportedException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FloatTensorsTest {
  @ParameterizedTest
  @ValueSource(longs = {1L << 20, 1L << 22, 1L << 31, 1L << 62})
  void aTensorThatNoBufferHoldsIsASentenceWhateverItsSizeOverflows(long rows) {
    String message =
        assertThrows(UnsupportedException.class, () -> FloatTensors.allocate(rows, 1L << 10, 8))
            .getMessage();
    assertTrue(message.contains("fewer tokens"), message);
    assertThrows(
        UnsupportedException.class, () -> FloatTensors.bytes(Short.BYTES, rows, 1L << 10, 8));
  }

  @Test
  void oneThatFitsHasRoom() {
    assertEquals(6, FloatTensors.allocate(2, 3).capacity());
    assertEquals(12, FloatTensors.bytes(Short.BYTES, 2, 3).capacity());
  }
}

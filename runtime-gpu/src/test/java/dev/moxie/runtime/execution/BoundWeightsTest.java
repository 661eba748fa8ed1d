package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.UnsupportedException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BoundWeightsTest {
  @Test
  void whatFloat16HoldsIsRoundedToIt() {
    short[] halves = new short[5];
    BoundWeights.round("w", new float[] {1.0001f, -1, 65519, 0x1p-24f, 0x1p-26f}, halves);
    assertArrayEquals(new short[] {0x3c00, (short) 0xbc00, 0x7bff, 0x0001, 0}, halves);
  }

  /** One infinite weight makes all logits that it touches infinite or no numbers. */
  @ParameterizedTest
  @ValueSource(floats = {65520, -1e5f, Float.POSITIVE_INFINITY, Float.NaN})
  void whatItDoesNotHoldIsRefused(float number) {
    String message =
        assertThrows(
                UnsupportedException.class,
                () -> BoundWeights.round("layers.0.w", new float[] {1, number, 2}, new short[3]))
            .getMessage();
    assertTrue(message.startsWith("layers.0.w: expected weights that float16 holds"), message);
  }
}

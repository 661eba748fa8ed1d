package dev.moxie.format.encoding;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.safetensors.Shape;
import org.junit.jupiter.api.Test;

class Fp8BlockTest {
  @Test
  void valuesAreThoseOfTheFormatsTable() {
    assertEquals(0f, Fp8Block.number((byte) 0x00));
    assertEquals(-0f, Fp8Block.number((byte) 0x80));
    assertEquals(0x1p-9f, Fp8Block.number((byte) 0x01));
    assertEquals(7 * 0x1p-9f, Fp8Block.number((byte) 0x07));
    assertEquals(0x1p-6f, Fp8Block.number((byte) 0x08));
    assertEquals(1f, Fp8Block.number((byte) 0x38));
    assertEquals(-1.125f, Fp8Block.number((byte) 0xb9));
    assertEquals(448f, Fp8Block.number((byte) 0x7e));
    assertTrue(Float.isNaN(Fp8Block.number((byte) 0x7f)));
    assertTrue(Float.isNaN(Fp8Block.number((byte) 0xff)));
  }

  @Test
  void valuesGrowWithTheirCode() {
    for (int code = 1; code < 0x7f; code++) {
      assertTrue(Fp8Block.number((byte) code) > Fp8Block.number((byte) (code - 1)));
      assertEquals(-Fp8Block.number((byte) code), Fp8Block.number((byte) (code | 0x80)));
    }
  }

  @Test
  void theLastBlockOfARowOrColumnMayBeSmaller() {
    assertEquals(Shape.of(1, 1), new Fp8Block(128, 128).grid(Shape.of(1, 128)));
    assertEquals(Shape.of(2, 3), new Fp8Block(128, 128).grid(Shape.of(129, 257)));
    assertEquals(Shape.of(129, 3), new Fp8Block(1, 100).grid(Shape.of(129, 257)));
    assertThrows(IllegalArgumentException.class, () -> new Fp8Block(128, 128).grid(Shape.of(128)));
  }
}

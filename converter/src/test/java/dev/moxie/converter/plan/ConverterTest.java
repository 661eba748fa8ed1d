package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.safetensors.Dtype;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class ConverterTest {
  @Property(tries = 20_000)
  void bf16IsTheNearestAndOfTwoTheEvenOne(@ForAll int bits) {
    float value = Float.intBitsToFloat(bits);
    short rounded = Converter.toBf16(value);
    float result = Float.intBitsToFloat(rounded << 16);
    if (!Float.isFinite(value)) {
      assertEquals(value, result);
      return;
    }
    float below = Float.intBitsToFloat(bits & 0xffff0000);
    float above = Float.intBitsToFloat((bits & 0xffff0000) + 0x10000);
    if (!Float.isFinite(above)) {
      return;
    }
    BigDecimal down = distance(value, below);
    BigDecimal up = distance(value, above);
    int order = down.compareTo(up);
    boolean lowerIsEven = (bits >> 16 & 1) == 0;
    assertEquals(order < 0 || (order == 0 && lowerIsEven) ? below : above, result);
  }

  private static BigDecimal distance(float a, float b) {
    return new BigDecimal(a).subtract(new BigDecimal(b)).abs();
  }

  @Test
  void whatIsNoNumberStaysNone() {
    assertTrue(Float.isNaN(Float.intBitsToFloat(Converter.toBf16(Float.NaN) << 16)));
    assertTrue(
        Float.isNaN(
            Float.intBitsToFloat(Converter.toBf16(Float.intBitsToFloat(0x7f800001)) << 16)));
  }

  /** Whatever the chunks that a matrix comes in. */
  @Property(tries = 200)
  void everyElementMeetsTheScaleOfItsOwnBlock(
      @ForAll @IntRange(min = 1, max = 300) int rows,
      @ForAll @IntRange(min = 1, max = 300) int columns,
      @ForAll @IntRange(min = 1, max = 5000) int chunk,
      @ForAll long seed) {
    var random = new Random(seed);
    byte[] codes = new byte[rows * columns];
    random.nextBytes(codes);
    int down = (rows + 127) / 128;
    int across = (columns + 127) / 128;
    float[] scales = new float[down * across];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = random.nextFloat();
    }
    ByteBuffer out = ByteBuffer.allocate(codes.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (int at = 0; at < codes.length; at += chunk) {
      ByteBuffer part = ByteBuffer.wrap(codes, at, Math.min(chunk, codes.length - at));
      Converter.dequantise(part, at, columns, scales, out, Dtype.F32);
    }
    out.flip();
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        float expected =
            Fp8Blocks.value(codes[r * columns + c]) * scales[r / 128 * across + c / 128];
        assertEquals(expected, out.getFloat());
      }
    }
  }
}

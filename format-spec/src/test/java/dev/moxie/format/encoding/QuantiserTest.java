package dev.moxie.format.encoding;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class QuantiserTest {
  private static final int COLUMNS = 256;

  @Provide
  Arbitrary<Quantised> encodings() {
    return Arbitraries.of(
        new Int8Channel(),
        new Int4Block(16),
        new Int4Block(32),
        new Int4Block(64),
        new Int4Block(128),
        new Int4Block(256),
        new Mxfp4());
  }

  /** What a row is stored as. */
  private record Stored(Quantised encoding, byte[] values, byte[] scales) {
    static Stored of(Quantised encoding, Quantiser.Method method, float... row) {
      var quantiser = new Quantiser(encoding, method, row.length);
      System.arraycopy(row, 0, quantiser.row(), 0, row.length);
      ByteBuffer values = buffer(quantiser.valueBytes());
      ByteBuffer scales = buffer(quantiser.scaleBytes());
      quantiser.scales(scales);
      quantiser.values(values);
      assertFalse(values.hasRemaining() || scales.hasRemaining());
      return new Stored(encoding, values.array(), scales.array());
    }

    private static ByteBuffer buffer(int bytes) {
      return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    float[] scaleOfBlocks() {
      return Scales.all(MemorySegment.ofArray(scales), encoding.writtenScales());
    }

    float number(int column) {
      return encoding.number(MemorySegment.ofArray(values), column);
    }

    double value(int column) {
      int size = values.length * encoding.perValue();
      return Elements.scaled(
              encoding,
              MemorySegment.ofArray(values),
              MemorySegment.ofArray(scales),
              encoding.writtenScales(),
              size)
          .get(column);
    }

    double squaredError(float[] row) {
      double sum = 0;
      for (int c = 0; c < row.length; c++) {
        sum += Math.pow(row[c] - value(c), 2);
      }
      return sum;
    }
  }

  private static float[] row(long seed, float magnitude) {
    var random = new Random(seed);
    float[] row = new float[COLUMNS];
    for (int c = 0; c < row.length; c++) {
      row[c] = (float) random.nextGaussian() * magnitude;
    }
    return row;
  }

  private static int block(Quantised encoding) {
    return Math.min(COLUMNS, encoding.blockColumns());
  }

  @Property(tries = 300)
  void noElementIsFartherThanHalfAStepFromWhatItIsStoredAs(
      @ForAll("encodings") Quantised encoding,
      @ForAll long seed,
      @ForAll @IntRange(min = -30, max = 30) int exponent) {
    float[] row = row(seed, Math.scalb(1f, exponent));
    var stored = Stored.of(encoding, Quantiser.Method.NEAREST, row);
    for (int c = 0; c < COLUMNS; c++) {
      double scale = stored.scaleOfBlocks()[c / block(encoding)];
      boolean cutOff = encoding instanceof Mxfp4 && Math.abs(row[c]) > 6 * scale;
      double steps = Math.abs(row[c] - stored.value(c)) / (encoding.step(stored.number(c)) * scale);
      assertTrue(steps <= (cutOff ? 1 : 0.5001), () -> encoding + ": " + steps);
    }
  }

  /** There and back: numbers times scales are stored as themselves. */
  @Property(tries = 300)
  void whatCanBeHeldExactlyIs(@ForAll("encodings") Quantised encoding, @ForAll long seed) {
    var random = new Random(seed);
    byte[] numbers = new byte[COLUMNS];
    random.nextBytes(numbers);
    float[] row = new float[COLUMNS];
    for (int c = 0; c < COLUMNS; c++) {
      float number = encoding.number(MemorySegment.ofArray(numbers), c);
      // The largest number of each block is what its scale is made from.
      float held = encoding instanceof Mxfp4 ? number : Math.max(number, -encoding.largest());
      row[c] = c % block(encoding) == 0 ? encoding.largest() : held;
    }
    for (Quantiser.Method method : Quantiser.Method.values()) {
      var stored = Stored.of(encoding, method, row);
      for (int c = 0; c < COLUMNS; c++) {
        assertEquals(row[c], stored.value(c), 0.0);
      }
    }
  }

  @Property(tries = 200)
  void searchIsNeverWorseInAnyBlock(@ForAll("encodings") Quantised encoding, @ForAll long seed) {
    float[] row = row(seed, 1);
    int block = block(encoding);
    for (int from = 0; from < COLUMNS; from += block) {
      float[] part = Arrays.copyOfRange(row, from, from + block);
      assertTrue(
          Stored.of(encoding, Quantiser.Method.SEARCH, part).squaredError(part)
              <= Stored.of(encoding, Quantiser.Method.NEAREST, part).squaredError(part)
                  * (1 + 1e-12));
    }
  }

  /** Of normal elements, as weights are. */
  @ParameterizedTest
  @CsvSource({"int4_block_32, 0.85", "int4_block_128, 0.85", "mxfp4, 0.95"})
  void searchIsBetterWhereNumbersAreFew(String id, double most) {
    var encoding = (Quantised) Encoding.of(id).orElseThrow();
    double nearest = 0;
    double search = 0;
    for (int seed = 0; seed < 50; seed++) {
      float[] row = row(seed, 1);
      nearest += Stored.of(encoding, Quantiser.Method.NEAREST, row).squaredError(row);
      search += Stored.of(encoding, Quantiser.Method.SEARCH, row).squaredError(row);
    }
    assertTrue(search < most * nearest, search / nearest + " of the squared error");
  }

  @Test
  void mxfp4IsWhatItsDefinitionCallsFor() {
    float[] row = new float[32];
    float[] elements = {5.9f, 0.25f, 0.26f, 0.75f, 1.25f, -1.75f, 2.5f, -3.5f, 5, -0.1f};
    System.arraycopy(elements, 0, row, 0, elements.length);
    var stored = Stored.of(new Mxfp4(), Quantiser.Method.NEAREST, row);
    float[] found = new float[elements.length];
    for (int c = 0; c < found.length; c++) {
      found[c] = (float) stored.value(c);
    }
    // Of two as near the one whose last bit is 0.
    assertArrayEquals(new float[] {6, 0, 0.5f, 1, 1, -2, 2, -4, 4, -0f}, found);
    assertArrayEquals(new byte[] {127}, stored.scales());
    assertEquals(0x07, stored.values()[0], "the first in the low bits");
  }

  @ParameterizedTest
  @ValueSource(strings = {"int8_channel", "int4_block_32", "mxfp4"})
  void zerosAreZeros(String id) {
    var encoding = (Quantised) Encoding.of(id).orElseThrow();
    for (Quantiser.Method method : Quantiser.Method.values()) {
      var stored = Stored.of(encoding, method, new float[64]);
      for (int c = 0; c < 64; c++) {
        assertEquals(0, stored.value(c));
      }
    }
  }

  /** Scales of such elements vanish or are subnormal; nothing overflows. */
  @Property(tries = 200)
  void elementsOfAnyMagnitudeStayNumbers(
      @ForAll("encodings") Quantised encoding, @ForAll long seed) {
    var random = new Random(seed);
    float[] row = new float[COLUMNS];
    int exponent = random.nextInt(-149, 127);
    for (int c = 0; c < COLUMNS; c++) {
      row[c] = Math.scalb(random.nextFloat() * 2 - 1, exponent);
    }
    for (Quantiser.Method method : Quantiser.Method.values()) {
      var stored = Stored.of(encoding, method, row);
      for (int c = 0; c < COLUMNS; c++) {
        assertTrue(Double.isFinite(stored.value(c)), encoding.id());
      }
    }
  }

  @Test
  void whatIsNoFiniteNumberIsFound() {
    var quantiser = new Quantiser(new Int4Block(32), Quantiser.Method.NEAREST, 64);
    assertEquals(-1, quantiser.notFinite());
    quantiser.row()[33] = Float.NEGATIVE_INFINITY;
    assertEquals(33, quantiser.notFinite());
    quantiser.row()[2] = Float.NaN;
    assertEquals(2, quantiser.notFinite());
  }

  @Test
  void rowsThatAreNoMultipleOfTheBlockAreNotHeld() {
    assertTrue(new Int4Block(64).holds(Shape.of(3, 128)));
    assertFalse(new Int4Block(64).holds(Shape.of(3, 96)));
    assertFalse(new Int4Block(64).holds(Shape.of(64)));
    assertTrue(new Int8Channel().holds(Shape.of(3, 5)));
    assertFalse(new Int8Channel().holds(Shape.of(5)));
  }

  @Test
  void gridsAreThoseOfTheFormat() {
    assertEquals(Shape.of(3, 1), new Int8Channel().grid(Shape.of(3, 5)));
    assertEquals(Shape.of(3, 4), new Int4Block(16).grid(Shape.of(3, 64)));
    assertEquals(Shape.of(3, 32), new Int4Block(16).stored(Shape.of(3, 64)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"int4_block_8", "int4_block_512", "int4_block_032", "int4_block_48", "int8_block"})
  void otherNamesAreNoEncodings(String id) {
    assertEquals(Optional.empty(), Encoding.of(id));
  }

  @Test
  void namesAreThoseOfTheFormat() {
    for (String id : List.of("int8_channel", "int4_block_16", "int4_block_256", "mxfp4")) {
      assertEquals(id, Encoding.of(id).orElseThrow().id());
    }
    assertThrows(IllegalArgumentException.class, () -> new Int4Block(48));
    assertThrows(IllegalArgumentException.class, () -> new Int4Block(8));
  }
}

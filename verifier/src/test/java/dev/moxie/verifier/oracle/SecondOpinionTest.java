package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.verifier.Packages;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The oracle that reads the forward pass against the one that was written by hand. */
@Exhaustive
class SecondOpinionTest {
  private static final long[] TOKENS = {1, 17, 3, 59, 63, 5, 2, 31, 8, 40};

  @TempDir Path folder;

  static List<Path> checkpoints() {
    return Fixtures.all();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void bothGiveTheSameBits(Path checkpoint) {
    try (MoxiePackage pack = MoxiePackage.open(Packages.convert(checkpoint, folder.resolve("p")))) {
      for (Precision precision : Precision.values()) {
        var reader = new Oracle(pack.architecture(), Weights.asStored(pack), precision);
        var hand = new HandWrittenOracle(pack.architecture(), new WeightsByName(pack), precision);
        compare(pack, reader, hand);
        compare(pack, reader.sampled(new Random(7)), hand.sampled(new Random(7)));
      }
    }
  }

  private static void compare(MoxiePackage pack, Oracle reader, HandWrittenOracle hand) {
    Estimate hidden = reader.embed(TOKENS);
    assertSameBits("embedding", hand.embed(TOKENS), hidden);
    // Sampled oracles draw as they go: both embed once, above, and are fed the same from here.
    for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
      Oracle.Layer free = reader.layer(layer, TOKENS, hidden, null);
      compare("layer " + layer, hand.layer(layer, hidden, null), free);
      if (free.routed() != null) {
        List<int[]> others = reversed(free.routed().experts());
        compare(
            "layer " + layer + ", replayed",
            hand.layer(layer, hidden, others),
            reader.layer(layer, TOKENS, hidden, others));
      }
      hidden = free.output();
    }
    assertSameBits("logits", hand.head(hidden), reader.head(hidden));
  }

  /** Each token has the experts of another one. */
  private static List<int[]> reversed(List<int[]> experts) {
    return new ArrayList<>(experts).reversed();
  }

  private static void compare(String where, Oracle.Layer expected, Oracle.Layer actual) {
    assertEquals(expected.steps().keySet(), actual.steps().keySet(), where);
    expected
        .steps()
        .forEach(
            (step, values) -> assertSameBits(where + " " + step.id(), values, actual.step(step)));
    RoutingOracle.Routed one = expected.routed();
    RoutingOracle.Routed two = actual.routed();
    assertEquals(one == null, two == null, where);
    if (one != null && two != null) {
      assertSameBits(where + " choice", one.choice(), two.choice());
      assertSameBits(where + " groups", one.groups(), two.groups());
      for (int t = 0; t < TOKENS.length; t++) {
        assertArrayEquals(one.experts().get(t), two.experts().get(t), where + " token " + t);
      }
    }
  }

  private static void assertSameBits(
      String where, @Nullable Estimate expected, @Nullable Estimate actual) {
    assertEquals(expected == null, actual == null, where);
    if (expected == null || actual == null) {
      return;
    }
    assertEquals(expected.rows(), actual.rows(), where);
    assertEquals(expected.columns(), actual.columns(), where);
    for (int r = 0; r < expected.rows(); r++) {
      for (int c = 0; c < expected.columns(); c++) {
        String place = "%s [%d, %d]".formatted(where, r, c);
        assertEquals(expected.value(r, c), actual.value(r, c), 0, place);
        assertEquals(expected.error(r, c), actual.error(r, c), 0, place + " error");
      }
    }
  }
}

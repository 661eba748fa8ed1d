package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.lowering.Target;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Each part as a graph does what it does in Java, step by step. */
class FusedLayersTest {
  private static final long[] TOKENS = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};

  /** Relative errors: of float32 sums, and of about ten roundings to 11 bits. */
  private static final double SINGLE = 1e-5;

  private static final double HALF = 0x1p-11 * 40;

  @TempDir Path folder;

  /**
   * Groups, biases, shared experts, a dense layer, sinks, chunks and temperatures are among them.
   */
  static Stream<Arguments> graphs() {
    Stream<String> all =
        Stream.of("mixtral", "deepseek_v2", "deepseek_v3", "gpt_oss", "dbrx", "llama4_text");
    return Stream.concat(
        all.map(name -> Arguments.of(name, Target.CPU, SINGLE)),
        Stream.of("mixtral", "deepseek_v3", "gpt_oss")
            .map(name -> Arguments.of(name, Target.CUDA, HALF)));
  }

  @ParameterizedTest
  @MethodSource("graphs")
  void everyPartDoesWhatItDoesInJava(String name, Target target, double most) {
    Path checkpoint = Fixtures.root().resolve("random").resolve(name);
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        Layers graphs = new FusedLayers(pack, Device.CPU, target);
        PlainModel java = PlainModel.open(pack, new Unproven())) {
      float[] hidden = java.embed(TOKENS);
      requireNear(hidden, graphs.embed(TOKENS), most);
      for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
        Layers.Result expected = java.layerAlone(layer, TOKENS, hidden, null);
        List<int[]> experts = experts(expected);
        requireNear(expected, graphs.layerAlone(layer, TOKENS, hidden, experts), most);
        if (target.equals(Target.CPU)) {
          requireNear(expected, graphs.layerAlone(layer, TOKENS, hidden, null), most);
        }
        if (experts != null) {
          List<int[]> others = others(pack, layer, experts);
          requireNear(
              java.layerAlone(layer, TOKENS, hidden, others),
              graphs.layerAlone(layer, TOKENS, hidden, others),
              most);
        }
        hidden = expected.output();
      }
      requireNear(java.head(hidden), graphs.head(hidden), most);
    }
  }

  private static List<int[]> experts(Layers.Result layer) {
    return layer.mixture() == null
        ? null
        : layer.mixture().decisions().stream().map(Layers.Decision::experts).toList();
  }

  /** The next expert for each one. */
  private static List<int[]> others(MoxiePackage pack, int layer, List<int[]> experts) {
    int all =
        ((FeedForward.MixtureOfExperts) pack.architecture().layers().get(layer).feedForward())
            .experts();
    return experts.stream().map(e -> Arrays.stream(e).map(i -> (i + 1) % all).toArray()).toList();
  }

  private static void requireNear(Layers.Result expected, Layers.Result actual, double most) {
    requireNear(expected.output(), actual.output(), most);
    assertEquals(expected.mixture() == null, actual.mixture() == null);
    if (expected.mixture() != null) {
      Layers.Mixture a = expected.mixture();
      Layers.Mixture b = Objects.requireNonNull(actual.mixture());
      requireNear(a.normed(), b.normed(), most);
      requireNear(a.routerLogits(), b.routerLogits(), most);
      requireNear(a.scores(), b.scores(), most);
      requireNear(a.choice(), b.choice(), most);
      requireNear(a.expertsOutput(), b.expertsOutput(), most);
      requireNear(a.output(), b.output(), most);
      assertEquals(a.groups() == null, b.groups() == null);
      if (a.groups() != null) {
        requireNear(a.groups(), Objects.requireNonNull(b.groups()), most);
      }
      assertEquals(a.decisions().size(), b.decisions().size());
      for (int t = 0; t < a.decisions().size(); t++) {
        assertArrayEquals(a.decisions().get(t).experts(), b.decisions().get(t).experts());
        requireNear(a.decisions().get(t).weights(), b.decisions().get(t).weights(), most);
      }
    }
  }

  private static void requireNear(float[] expected, float[] actual, double most) {
    assertEquals(expected.length, actual.length);
    double difference = 0;
    double size = 0;
    for (int i = 0; i < expected.length; i++) {
      difference = Math.hypot(difference, (double) expected[i] - actual[i]);
      size = Math.hypot(size, expected[i]);
    }
    assertTrue(difference <= most * size, difference + " of " + size);
  }
}

package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtSession;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.lowering.RoutingGraph;
import dev.moxie.runtime.plain.Vectors;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

/**
 * The routing equation as a graph, against the same equation in Java, for equations of any kind.
 */
class RoutingGraphTest {
  @Provide
  Arbitrary<FeedForward.MixtureOfExperts> equations() {
    Arbitrary<Routing.Groups> groups =
        Combinators.combine(
                Arbitraries.of(2, 3, 4, 6),
                Arbitraries.integers().between(1, 6),
                Arbitraries.of(Routing.Groups.Aggregate.class))
            .as(
                (count, kept, aggregate) ->
                    new Routing.Groups(
                        count,
                        Math.min(kept, count),
                        aggregate,
                        Routing.Groups.MaskValue.NEGATIVE_INFINITY));
    return Combinators.combine(
            Arbitraries.integers().between(1, 2),
            Arbitraries.of(Routing.Score.class),
            Arbitraries.of(Routing.Bias.SELECTION).injectNull(0.4),
            groups.injectNull(0.3),
            Arbitraries.of(0.0, 1e-20, 0.5).map(Routing.Normalisation::new).injectNull(0.4),
            Arbitraries.of(1.0, 2.5, 16.0))
        .as(
            (k, score, bias, g, normalisation, scale) ->
                moe(k, score, bias, g, normalisation, scale));
  }

  private static FeedForward.MixtureOfExperts moe(
      int k,
      Routing.Score score,
      Routing.Bias bias,
      Routing.Groups groups,
      Routing.Normalisation normalisation,
      double scale) {
    return new FeedForward.MixtureOfExperts(
        12,
        1,
        FeedForward.Activation.SILU,
        new Routing(
            k,
            score,
            bias,
            groups,
            normalisation,
            scale,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32),
        null);
  }

  @Property(tries = 150)
  void theGraphRoutesAsTheEquation(
      @ForAll("equations") FeedForward.MixtureOfExperts moe, @ForAll long seed) {
    var random = new Random(seed);
    int tokens = 5;
    float[] logits = new float[tokens * 12];
    float[] bias = new float[12];
    for (int i = 0; i < logits.length; i++) {
      // Quarters, so that ties occur.
      logits[i] = random.nextInt(32) / 4f - 4;
      bias[i % 12] = random.nextInt(9) / 4f - 1;
    }
    FloatBuffer in = FloatTensors.allocate(logits.length);
    FloatBuffer biases = FloatTensors.allocate(bias.length);
    in.put(logits).flip();
    biases.put(bias).flip();
    FloatBuffer disguised = FloatTensors.allocate(logits.length);
    FloatBuffer totals = FloatTensors.allocate(tokens);
    OrtSession session =
        Engine.session(RoutingGraph.of(moe), Path.of("").toAbsolutePath(), Device.CPU);
    try (OnnxTensor x = Engine.wrap(in, tokens, 12);
        OnnxTensor b = Engine.wrap(biases, 12);
        OnnxTensor y = Engine.wrap(disguised, tokens, 12);
        OnnxTensor sum = Engine.wrap(totals, tokens, 1)) {
      Engine.run(
          session, Map.of("router_logits", x, "bias", b), Map.of("disguised", y, "total", sum));
    } finally {
      Engine.close(session);
    }
    List<float[]> routed = Vectors.route(moe.routing(), logits, 12, bias);
    int k = moe.routing().expertsPerToken();
    for (int t = 0; t < tokens; t++) {
      float sum = 0;
      for (int i = 0; i < k; i++) {
        float w = routed.get(1)[t * k + i];
        sum += w;
        assertEquals(Math.log(w), disguised.get(12 * t + (int) routed.get(0)[t * k + i]), 1e-5);
      }
      assertEquals(sum, totals.get(t), 1e-5 * sum);
      int chosen = 0;
      for (int e = 0; e < 12; e++) {
        chosen += disguised.get(12 * t + e) == Float.NEGATIVE_INFINITY ? 0 : 1;
      }
      assertEquals(k, chosen);
    }
  }

  @Test
  void weightsThatMayBeNegativeHaveNoDisguise() {
    var moe = moe(2, Routing.Score.SIGMOID, Routing.Bias.SELECTION_AND_WEIGHTS, null, null, 1);
    String message =
        assertThrows(UnsupportedException.class, () -> RoutingGraph.of(moe)).getMessage();
    assertTrue(message.contains("--execution plain"), message);
  }
}

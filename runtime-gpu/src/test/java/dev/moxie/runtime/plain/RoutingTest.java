package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import java.util.Arrays;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The routing equation in float32, on logits whose answer is written down by hand. */
class RoutingTest {
  @Test
  void ofEqualScoresTheLowerExpertIdWins() {
    Forward.Routed<Activation> routed =
        route(routing(2, new Routing.Normalisation(0), 1), 1, 3, 2, 3, 3);
    assertArrayEquals(new float[] {1, 3}, routed.chosen().values());
    assertArrayEquals(new float[] {0.5f, 0.5f}, routed.weights().values());
  }

  @Test
  void withoutNormalisationWeightsAreTheScoresOverAllExperts() {
    float[] logits = {(float) Math.log(1), (float) Math.log(3), (float) Math.log(4)};
    assertArrayEquals(
        new float[] {0.5f, 0.375f}, route(routing(2, null, 1), logits).weights().values(), 1e-7f);
  }

  @Test
  void epsilonAndScaleStandWhereTheEquationPutsThem() {
    Forward.Routed<Activation> routed = route(routing(1, new Routing.Normalisation(0.5), 3), 0, 0);
    assertEquals(3 * 0.5f / (0.5f + 0.5f), routed.weights().at(0, 0), 1e-7f);
  }

  @Provide
  Arbitrary<float[]> logits() {
    return Arbitraries.floats().between(-20, 20).array(float[].class).ofMinSize(4).ofMaxSize(40);
  }

  @Property
  void choosesTheLargestAndNormalises(@ForAll("logits") float[] logits) {
    Forward.Routed<Activation> routed = route(routing(3, new Routing.Normalisation(0), 1), logits);
    float[] sorted = logits.clone();
    Arrays.sort(sorted);
    float sum = 0;
    for (int i = 0; i < 3; i++) {
      assertTrue(logits[(int) routed.chosen().at(0, i)] >= sorted[sorted.length - 3] - 1e-3);
      sum += routed.weights().at(0, i);
    }
    assertEquals(1, sum, 1e-6);
    float[] chosen = routed.chosen().values();
    assertTrue(chosen[0] != chosen[1] && chosen[1] != chosen[2] && chosen[0] != chosen[2]);
  }

  private static Forward.Routed<Activation> route(Routing routing, float... logits) {
    Weights none =
        leaf -> {
          throw new IllegalStateException("no bias is asked for");
        };
    return Forward.route(
        new Plain(none, new Past(), new long[0], 0, null),
        routing,
        Activation.of(logits, logits.length),
        Vectors.leaf(logits.length));
  }

  private static Routing routing(
      int k, Routing.@Nullable Normalisation normalisation, double scale) {
    return new Routing(
        k,
        Routing.Score.SOFTMAX,
        null,
        null,
        normalisation,
        scale,
        Routing.WeightsApplyTo.EXPERT_OUTPUT,
        Routing.Capacity.UNLIMITED,
        Routing.Ties.LOWER_EXPERT_ID,
        Dtype.F32);
  }
}

package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

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

class RouterTest {
  private static final float[] NONE = {};

  @Test
  void ofEqualScoresTheLowerExpertIdWins() {
    Router.Decision decision =
        Router.route(
            routing(2, new Routing.Normalisation(0), 1), NONE, new float[] {1, 3, 2, 3, 3});
    assertArrayEquals(new int[] {1, 3}, decision.experts());
    assertArrayEquals(new float[] {0.5f, 0.5f}, decision.weights());
  }

  @Test
  void withoutNormalisationWeightsAreTheScoresOverAllExperts() {
    float[] logits = {(float) Math.log(1), (float) Math.log(3), (float) Math.log(4)};
    assertArrayEquals(
        new float[] {0.5f, 0.375f},
        Router.route(routing(2, null, 1), NONE, logits).weights(),
        1e-7f);
  }

  @Test
  void epsilonAndScaleStandWhereTheEquationPutsThem() {
    float[] logits = {0, 0};
    float[] weights =
        Router.route(routing(1, new Routing.Normalisation(0.5), 3), NONE, logits).weights();
    assertEquals(3 * 0.5f / (0.5f + 0.5f), weights[0], 1e-7f);
  }

  @Provide
  Arbitrary<float[]> logits() {
    return Arbitraries.floats().between(-20, 20).array(float[].class).ofMinSize(4).ofMaxSize(40);
  }

  @Property
  void choosesTheLargestAndNormalises(@ForAll("logits") float[] logits) {
    Router.Decision decision =
        Router.route(routing(3, new Routing.Normalisation(0), 1), NONE, logits);
    float[] sorted = logits.clone();
    Arrays.sort(sorted);
    float sum = 0;
    for (int i = 0; i < 3; i++) {
      assertTrue(logits[decision.experts()[i]] >= sorted[sorted.length - 3] - 1e-3);
      sum += decision.weights()[i];
    }
    assertEquals(1, sum, 1e-6);
    assertEquals(3, Arrays.stream(decision.experts()).distinct().count());
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

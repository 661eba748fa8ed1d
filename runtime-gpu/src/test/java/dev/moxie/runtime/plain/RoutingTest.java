package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import java.util.Arrays;
import java.util.List;
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
    List<float[]> routed = route(routing(2, new Routing.Normalisation(0), 1), 1, 3, 2, 3, 3);
    assertArrayEquals(new float[] {1, 3}, routed.get(0));
    assertArrayEquals(new float[] {0.5f, 0.5f}, routed.get(1));
  }

  @Test
  void withoutNormalisationWeightsAreTheScoresOverAllExperts() {
    float[] logits = {(float) Math.log(1), (float) Math.log(3), (float) Math.log(4)};
    assertArrayEquals(new float[] {0.5f, 0.375f}, route(routing(2, null, 1), logits).get(1), 1e-7f);
  }

  @Test
  void epsilonAndScaleStandWhereTheEquationPutsThem() {
    List<float[]> routed = route(routing(1, new Routing.Normalisation(0.5), 3), 0, 0);
    assertEquals(3 * 0.5f / (0.5f + 0.5f), routed.get(1)[0], 1e-7f);
  }

  @Provide
  Arbitrary<float[]> logits() {
    return Arbitraries.floats().between(-20, 20).array(float[].class).ofMinSize(4).ofMaxSize(40);
  }

  @Property
  void choosesTheLargestAndNormalises(@ForAll("logits") float[] logits) {
    List<float[]> routed = route(routing(3, new Routing.Normalisation(0), 1), logits);
    float[] sorted = logits.clone();
    Arrays.sort(sorted);
    float sum = 0;
    for (int i = 0; i < 3; i++) {
      assertTrue(logits[(int) routed.get(0)[i]] >= sorted[sorted.length - 3] - 1e-3);
      sum += routed.get(1)[i];
    }
    assertEquals(1, sum, 1e-6);
    float[] chosen = routed.get(0);
    assertTrue(chosen[0] != chosen[1] && chosen[1] != chosen[2] && chosen[0] != chosen[2]);
  }

  private static List<float[]> route(Routing routing, float... logits) {
    return Vectors.route(routing, logits, logits.length, new float[0]);
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

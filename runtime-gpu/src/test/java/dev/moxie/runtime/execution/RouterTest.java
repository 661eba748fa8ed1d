package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
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

  @Test
  void theMarginIsBetweenTheLastChosenAndTheFirstRejected() {
    float[] logits = {(float) Math.log(1), (float) Math.log(5), (float) Math.log(4)};
    Router.Margin margin = Router.margin(routing(2, null, 1), NONE, logits);
    assertEquals(0.4f, margin.taken(), 1e-7f);
    assertEquals(0.1f, margin.rejected(), 1e-7f);
    assertEquals(0.3, margin.gap(), 1e-7);
    assertFalse(margin.isWithinFloat32());
    assertNull(Router.margin(routing(3, null, 1), NONE, logits), "nothing is rejected");
  }

  @Test
  void equalValuesHaveNoMarginAndNeighboursInFloat32HaveLittle() {
    Router.Margin equal = Router.margin(routing(1, null, 1), NONE, new float[] {2, 2});
    assertEquals(0, equal.gap());
    assertTrue(equal.isWithinFloat32());
    assertTrue(new Router.Margin(0.5f, Math.nextDown(0.5f)).isWithinFloat32());
    assertFalse(new Router.Margin(0.5f, 0.5f - 0x1p-23f).isWithinFloat32());
  }

  @Test
  void theBiasIsPartOfTheMargin() {
    Routing routing = routing(1, null, 1).withBias(Routing.Bias.SELECTION);
    Router.Margin margin = Router.margin(routing, new float[] {0, 0.25f}, new float[] {0, 0});
    assertEquals(0.25, margin.gap());
  }

  @Test
  void withGroupsTheCloserOfExpertsAndGroupsIsTheMargin() {
    Routing routing =
        routing(1, null, 1)
            .withScore(Routing.Score.SIGMOID)
            .withGroups(
                new Routing.Groups(
                    2, 1, Routing.Groups.Aggregate.MAXIMUM, Routing.Groups.MaskValue.ZERO));
    assertEquals(
        new Router.Margin(score(3), score(1)),
        Router.margin(routing, NONE, new float[] {3, 1, 0.5f, 0}),
        "among experts: group 1 is far, expert 1 nearer");
    assertEquals(
        new Router.Margin(score(3), score(2.5f)),
        Router.margin(routing, NONE, new float[] {3, 1, 2.5f, 2}),
        "among groups: expert 2 is no candidate, but its group nearly is");
    Routing whole =
        routing(2, null, 1).withScore(Routing.Score.SIGMOID).withGroups(routing.groups());
    assertEquals(
        new Router.Margin(score(3), score(2)),
        Router.margin(whole, NONE, new float[] {3, 1, 2, 0}),
        "the kept group has no expert to reject");
  }

  private static float score(float logit) {
    return (float) (1 / (1 + Math.exp(-logit)));
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

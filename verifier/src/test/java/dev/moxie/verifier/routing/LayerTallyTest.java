package dev.moxie.verifier.routing;

import dev.moxie.runtime.execution.Margin;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.execution.Layers;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Statistics of decisions that are written down by hand. */
class LayerTallyTest {
  private static final Margin WIDE = new Margin(0.5f, 0.25f);

  @Test
  void evenRoutingHasALossOfOneForEveryK() {
    LayerTally one = tally(1);
    one.add(new float[] {0.7f, 0.1f, 0.1f, 0.1f}, chose(0), WIDE);
    one.add(new float[] {0.1f, 0.7f, 0.1f, 0.1f}, chose(1), WIDE);
    one.add(new float[] {0.1f, 0.1f, 0.7f, 0.1f}, chose(2), WIDE);
    one.add(new float[] {0.1f, 0.1f, 0.1f, 0.7f}, chose(3), WIDE);
    assertEquals(1, one.statistics().loadBalancingLoss(), 1e-6);
    LayerTally two = tally(2);
    two.add(new float[] {0.4f, 0.4f, 0.1f, 0.1f}, chose(0, 1), WIDE);
    two.add(new float[] {0.1f, 0.1f, 0.4f, 0.4f}, chose(2, 3), WIDE);
    assertEquals(1, two.statistics().loadBalancingLoss(), 1e-6);
    assertEquals(List.of(1L, 1L, 1L, 1L), two.statistics().utilisation().counts());
  }

  @Test
  void collapsedRoutingHasTheLossOfSwitchTransformersEquationFour() {
    LayerTally tally = tally(1);
    for (int t = 0; t < 50; t++) {
      tally.add(new float[] {0.1f, 0.1f, 0.7f, 0.1f}, chose(2), WIDE);
    }
    LayerStatistics statistics = tally.statistics();
    // E Σ f_e P_e with f = (0, 0, 1, 0): 4 · 0.7.
    assertEquals(2.8, statistics.loadBalancingLoss(), 1e-6);
    assertTrue(statistics.utilisation().collapsed());
    assertEquals(List.of(0, 1, 3), statistics.utilisation().dead());
    assertEquals(0.7, statistics.meanScores().get(2), 1e-6);
  }

  @Test
  void sigmoidScoresCountByTheirShare() {
    LayerTally tally = tally(1);
    tally.add(new float[] {0.9f, 0.9f, 0.6f, 0.6f}, chose(0), WIDE);
    assertEquals(List.of(0.3, 0.3, 0.2, 0.2), rounded(tally.statistics().meanScores()));
    LayerTally nothing = tally(1);
    nothing.add(new float[4], chose(0), WIDE);
    assertEquals(List.of(0.25, 0.25, 0.25, 0.25), rounded(nothing.statistics().meanScores()));
  }

  @Test
  void theMeanWeightIsOverTheTokensThatChoseTheExpert() {
    LayerTally tally = tally(2);
    float[] scores = {0.25f, 0.25f, 0.25f, 0.25f};
    tally.add(scores, new Layers.Decision(new int[] {2, 0}, new float[] {0.75f, 0.25f}), WIDE);
    tally.add(scores, new Layers.Decision(new int[] {0, 1}, new float[] {0.5f, 0.5f}), WIDE);
    assertEquals(Arrays.asList(0.375, 0.5, 0.75, null), tally.statistics().meanWeights());
  }

  @Test
  void marginsAreCountedNotKept() {
    LayerTally tally = tally(1);
    float[] scores = {1, 0, 0, 0};
    for (float rejected : new float[] {0.5f, 0.25f, 0, 0.125f, 0.5f}) {
      tally.add(scores, chose(0), new Margin(0.5f, rejected));
    }
    LayerStatistics statistics = tally.statistics();
    assertEquals(0.0, statistics.smallestMargin());
    assertEquals(0.25, statistics.medianMargin());
    assertEquals(2, statistics.withinFloat32());
  }

  @Test
  void theMedianIsRightToNineBits() {
    LayerTally tally = tally(1);
    for (int i = 1; i <= 1001; i++) {
      tally.add(new float[] {1, 0, 0, 0}, chose(0), new Margin(i / 1001f, 0));
    }
    double median = tally.statistics().medianMargin();
    assertTrue(median <= 501 / 1001.0 && median > 501 / 1001.0 * (1 - 0x1p-8), () -> "" + median);
  }

  @Test
  void whereNothingIsRejectedThereIsNoMargin() {
    LayerTally tally = tally(4);
    tally.add(new float[] {1, 1, 1, 1}, chose(0, 1, 2, 3), null);
    assertNull(tally.statistics().smallestMargin());
    assertNull(tally.statistics().medianMargin());
  }

  private static List<Double> rounded(List<Double> values) {
    return values.stream().map(value -> Math.rint(value * 1e6) / 1e6).toList();
  }

  private static Layers.Decision chose(int... experts) {
    return new Layers.Decision(experts, new float[experts.length]);
  }

  private static LayerTally tally(int k) {
    var routing =
        new Routing(
            k,
            Routing.Score.SOFTMAX,
            null,
            null,
            null,
            1,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32);
    return new LayerTally(
        0, new FeedForward.MixtureOfExperts(4, 8, FeedForward.Activation.SILU, routing, null));
  }
}

package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.moxie.format.model.Routing;
import org.junit.jupiter.api.Test;

/** Weights of experts that compete with those near them. */
class MixerTest {
  private static final Routing ROUTING =
      Routing.of(2, Routing.Score.SOFTMAX).withMixer(new Routing.Mixer(0.02));

  private static float[] weights(float... logits) {
    return Vectors.route(ROUTING, logits, logits.length, new float[0]).get(1);
  }

  @Test
  void anExpertFarAboveTheNextLeavesItsWeightWhole() {
    float half = (float) (1 / (1 + Math.exp(-0.5)));
    assertArrayEquals(new float[] {1, half}, weights(1, 40, 39.5f, 100), 1e-6f);
  }

  @Test
  void ofTwoThatAreAlikeTheOneChosenFirstHasTheOtherBesideIt() {
    assertArrayEquals(new float[] {0.5f, 1}, weights(3, 7, 7, -1), 1e-6f);
  }
}

package dev.moxie.runtime.generation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final float[] LOGITS = {
    (float) Math.log(0.1), (float) Math.log(0.6), (float) Math.log(0.3)
  };

  @Test
  void greedyTakesTheLowestOfEqualTokens() {
    assertEquals(1, Sampler.largest(new float[] {0, 7, 7}));
  }

  @Test
  void drawsByTheModelsOwnOdds() {
    int[] counts = draw(new Sampler(1, 0, 1, 1), 10_000);
    assertEquals(0.1, counts[0] / 1e4, 0.02);
    assertEquals(0.6, counts[1] / 1e4, 0.02);
  }

  @Test
  void aHighTemperatureEvensTheOdds() {
    int[] counts = draw(new Sampler(100, 0, 1, 1), 10_000);
    assertEquals(1 / 3.0, counts[0] / 1e4, 0.02);
  }

  @Test
  void topKLeavesTheRestOut() {
    assertEquals(0, draw(new Sampler(1, 2, 1, 1), 1000)[0]);
  }

  @Test
  void topPTakesTheFewestThatReachIt() {
    assertEquals(1000, draw(new Sampler(1, 0, 0.6, 1), 1000)[1], "0.6 is reached by the first");
    assertEquals(0, draw(new Sampler(1, 0, 0.61, 1), 1000)[0], "0.61 needs the second");
    assertTrue(draw(new Sampler(1, 0, 0.61, 1), 1000)[2] > 0);
  }

  @Property
  void theSameSeedDrawsTheSame(@ForAll long seed) {
    var sampler = new Sampler(1, 0, 1, seed);
    assertEquals(
        sampler.choose(LOGITS, sampler.random()), sampler.choose(LOGITS, sampler.random()));
  }

  @Test
  void refusesWhatIsNoDistribution() {
    assertThrows(IllegalArgumentException.class, () -> new Sampler(-1, 0, 1, 0));
    assertThrows(IllegalArgumentException.class, () -> new Sampler(Double.NaN, 0, 1, 0));
    assertThrows(IllegalArgumentException.class, () -> new Sampler(1, -1, 1, 0));
    assertThrows(IllegalArgumentException.class, () -> new Sampler(1, 0, 0, 0));
    assertThrows(IllegalArgumentException.class, () -> new Sampler(1, 0, 1.1, 0));
  }

  private static int[] draw(Sampler sampler, int times) {
    SplittableRandom random = sampler.random();
    int[] counts = new int[LOGITS.length];
    for (int i = 0; i < times; i++) {
      counts[sampler.choose(LOGITS, random)]++;
    }
    return counts;
  }
}

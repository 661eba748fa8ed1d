package dev.moxie.runtime.generation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
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

  @Test
  void minPLeavesOutWhatIsFarBelowTheLikeliest() {
    assertEquals(0, draw(new Sampler(1, 0, 1, 0.2, 1, Map.of(), 1), 1000)[0], "0.1 of 0.6");
    assertTrue(draw(new Sampler(1, 0, 1, 0.15, 1, Map.of(), 1), 1000)[0] > 0);
    assertEquals(1000, draw(new Sampler(1, 0, 1, 1, 1, Map.of(), 1), 1000)[1]);
  }

  @Test
  void biasIsAddedAndRepetitionsLose() {
    var sampler = new Sampler(0, 0, 1, 0, 2, Map.of(0, 5f), 1);
    float[] logits = {-6, 3, 1, -2};
    var seen = new BitSet();
    seen.set(0, 2);
    sampler.adjust(logits, seen);
    assertArrayEquals(new float[] {-2, 1.5f, 1, -2}, logits);
  }

  /** Against sorting all of them. */
  @Property
  void whatIsLeftIsWhatSortingLeaves(
      @ForAll @Size(min = 2, max = 40) List<@IntRange(min = -8, max = 8) Integer> halves,
      @ForAll @IntRange(max = 45) int topK,
      @ForAll @DoubleRange(min = 0.01, max = 1) double topP,
      @ForAll long seed) {
    float[] logits = new float[halves.size()];
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < logits.length; i++) {
      logits[i] = halves.get(i) / 2f;
      order.add(i);
    }
    order.sort(Comparator.comparingDouble((Integer i) -> -logits[i]));
    List<Integer> kept = topK == 0 ? order : order.subList(0, Math.min(topK, order.size()));
    double total = kept.stream().mapToDouble(i -> Math.exp(logits[i])).sum();
    Set<Integer> may = new HashSet<>();
    double mass = 0;
    for (int i : kept) {
      // Which of two the last bit of a sum decides is not asked.
      if (mass < (topP + 1e-9) * total) {
        may.add(i);
      }
      mass += Math.exp(logits[i]);
    }
    var sampler = new Sampler(1, topK, topP, seed);
    SplittableRandom random = sampler.random();
    for (int i = 0; i < 20; i++) {
      int chosen = sampler.choose(logits, random);
      assertTrue(may.contains(chosen), () -> chosen + " of " + may);
    }
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

package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class UtilisationTest {
  @Test
  void evenUseHasImbalanceOneAndAsManyEffectiveExpertsAsThereAre() {
    Utilisation even = Utilisation.of(new long[] {5, 5, 5, 5}, 10, 2);
    assertEquals(1, even.imbalance());
    assertEquals(Math.log(4), even.entropy(), 1e-12);
    assertEquals(4, even.effectiveExperts(), 1e-12);
    assertEquals(List.of(), even.unused());
    assertFalse(even.collapsed());
  }

  @Test
  void allTokensToTheSameExpertsIsCollapseAndTheOthersAreDead() {
    Utilisation collapsed = Utilisation.of(new long[] {0, 100, 0, 100, 0, 0, 0, 0}, 100, 2);
    assertEquals(4, collapsed.imbalance());
    assertEquals(2, collapsed.effectiveExperts(), 1e-12);
    assertTrue(collapsed.collapsed());
    assertEquals(List.of(0, 2, 4, 5, 6, 7), collapsed.dead());
  }

  @Test
  void anExpertThatFewTokensMissedByChanceIsUnusedButNotDead() {
    Utilisation few = Utilisation.of(new long[] {1, 1, 2, 2, 1, 1, 2, 0}, 5, 2);
    assertEquals(List.of(7), few.unused());
    assertEquals(List.of(), few.dead());
  }

  @Test
  void aShortTraceHasFewEffectiveExpertsAndThatIsNoCollapse() {
    // 2 tokens cannot use more than 4 of 64 experts, however evenly they are routed.
    long[] counts = new long[64];
    for (int e = 0; e < 4; e++) {
      counts[e] = 1;
    }
    Utilisation few = Utilisation.of(counts, 2, 2);
    assertTrue(few.effectiveExperts() < Math.sqrt(2 * 64));
    assertFalse(few.collapsed());
    // 64 (1 − 1/32)^T is 0.01001 with 276 tokens, 0.0097 with 277.
    for (int e = 0; e < 4; e++) {
      counts[e] = 138;
    }
    assertFalse(Utilisation.of(counts, 276, 2).collapsed());
    counts[0]++;
    counts[1]++;
    assertTrue(Utilisation.of(counts, 277, 2).collapsed());
  }

  @Property
  void numbersStayBetweenEvenAndWorst(
      @ForAll @IntRange(min = 1, max = 300) int tokens,
      @ForAll @IntRange(min = 1, max = 40) int experts,
      @ForAll @IntRange(min = 1, max = 40) int most,
      @ForAll long seed) {
    int k = Math.min(most, experts);
    var random = new Random(seed);
    List<Integer> ids = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      ids.add(e);
    }
    List<int[]> chosen = new ArrayList<>();
    for (int t = 0; t < tokens; t++) {
      Collections.shuffle(ids, random);
      chosen.add(ids.stream().limit(k).mapToInt(Integer::intValue).toArray());
    }
    Utilisation use = Utilisation.of(chosen, experts);
    double slack = 1e-9;
    assertEquals((long) tokens * k, use.counts().stream().mapToLong(Long::longValue).sum());
    assertTrue(use.imbalance() >= 1 - slack);
    assertTrue(use.imbalance() <= (double) experts / k + slack);
    assertTrue(use.entropy() >= Math.log(k) - slack);
    assertTrue(use.entropy() <= Math.log(experts) + slack);
    assertTrue(use.unused().containsAll(use.dead()));
    assertFalse(k == experts && use.collapsed(), "nothing can collapse");
  }
}

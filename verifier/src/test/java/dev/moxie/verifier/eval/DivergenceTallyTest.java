package dev.moxie.verifier.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.moxie.verifier.report.Divergence;
import org.junit.jupiter.api.Test;

/** Summaries of numbers that are written down by hand. */
class DivergenceTallyTest {
  @Test
  void sharesAreThoseOfTheHundredNumbersToOneHundred() {
    var tally = new DivergenceTally();
    for (int i = 0; i < 100; i++) {
      tally.add(100 - i, i % 4 == 0);
    }
    assertEquals(new Divergence(100, 50.5, 50, 99, 100, 0, 0.25), tally.result());
  }

  @Test
  void ofOneTokenEverythingIsIts() {
    var tally = new DivergenceTally();
    tally.add(0.5, true);
    assertEquals(new Divergence(1, 0.5, 0.5, 0.5, 0.5, 0, 1), tally.result());
  }

  @Test
  void ofSeveralWorstTokensTheFirstIsNamed() {
    var tally = new DivergenceTally();
    for (double d : new double[] {0, 2, 1, 2}) {
      tally.add(d, false);
    }
    assertEquals(1, tally.result().worstAt());
  }

  /** Sample deviation of 1, 2, 3, 4: sqrt(5/3); its mean is as sure as that over two. */
  @Test
  void theStandardErrorIsThatOfAMean() {
    var mean = new Mean();
    mean.add(1);
    assertNull(mean.standardError());
    for (int i = 2; i <= 4; i++) {
      mean.add(i);
    }
    assertEquals(2.5, mean.mean(), 0);
    assertEquals(Math.sqrt(5.0 / 3) / 2, mean.standardError(), 1e-15);
  }
}

package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.Routing;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.report.Comparison;
import java.util.BitSet;
import org.junit.jupiter.api.Test;

/** Whom an expert competes with, where rounding may decide it. */
class CompetingExpertsTest {
  private static Estimate rows(double[]... rows) {
    var estimate = new Estimate(rows.length, rows[0].length);
    for (int r = 0; r < rows.length; r++) {
      for (int c = 0; c < rows[r].length; c++) {
        estimate.set(r, c, rows[r][c], 1e-7);
      }
    }
    return estimate;
  }

  @Test
  void nothingIsHeldToTokensOfWhichAnExpertIsJustAsNearAsMayBe() {
    var reader =
        new Exact(
            leaf -> {
              throw new AssertionError(leaf);
            },
            Arithmetic.of(Precision.F32),
            new long[0],
            null,
            null);
    Estimate logits = rows(new double[] {4, 1, 3}, new double[] {4, 1, 2}, new double[] {4, 3, 3});
    Estimate chosen = rows(new double[] {0, 2}, new double[] {0, 2}, new double[] {0, 2});
    reader.compete(logits, chosen, new Routing.Mixer(0.5), 1);
    assertEquals(BitSet.valueOf(new long[] {0b010}), reader.undecided());
  }

  @Test
  void whereNothingCanBeHeldToAnyTokenNothingIsJudged() {
    Estimate left = rows(new double[] {4}).without(BitSet.valueOf(new long[] {1}));
    Comparison comparison = Tolerance.compare(new float[] {9}, new float[] {4}, left);
    assertTrue(comparison.verdict().passed());
    assertFalse(comparison.telling());
  }
}

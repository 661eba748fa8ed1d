package dev.moxie.verifier.bounds;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Verdict;
import org.junit.jupiter.api.Test;

class ToleranceTest {
  private static final float[] EXPECTED = {1, -2, 3, 4};
  private static final Estimate ESTIMATE = Estimate.uniform(EXPECTED, 2, 1e-3);

  @Test
  void theWorstElementIsNamedWithItsPlace() {
    Comparison comparison =
        Tolerance.compare(new float[] {1, -2, 3.1f, 4.001f}, EXPECTED, ESTIMATE);
    assertEquals(Verdict.FAIL, comparison.verdict());
    assertEquals(1, comparison.worst().token());
    assertEquals(0, comparison.worst().index());
    assertEquals(0.1, comparison.maxAbs(), 1e-6);
    assertEquals(0.025, comparison.maxRel(), 1e-6);
  }

  @Test
  void theBoundIsTheStatedFormula() {
    double bound = Tolerance.compare(EXPECTED, EXPECTED, ESTIMATE).bound();
    assertEquals(Math.sqrt(2 * Math.log(2 * 4 / 1e-9)) * Math.sqrt(2) * 1e-3, bound, 1e-12);
    assertEquals(Verdict.PASS, shifted(0.99 * bound).verdict());
    assertEquals(Verdict.FAIL, shifted(1.01 * bound).verdict());
  }

  @Test
  void theBoundOfMostIsTheStatedFormulaAndLessThanThatOfAll() {
    assertEquals(
        Math.sqrt(2 * (Math.log(2) + (64 * Math.log(2) - Math.log(1e-9)) / 33)) * Math.sqrt(2),
        Tolerance.boundOfMost(1, 64),
        1e-12);
    for (int n = 2; n < 1000; n++) {
      assertTrue(Tolerance.boundOfMost(1, n) < Tolerance.bound(1, n), "of " + n);
    }
    assertEquals(Tolerance.bound(1, 2), Tolerance.boundOfMost(1, 1), 0.2);
  }

  private static Comparison shifted(double by) {
    float[] actual = EXPECTED.clone();
    actual[0] += (float) by;
    return Tolerance.compare(actual, EXPECTED, ESTIMATE);
  }

  @Test
  void notANumberNeverPasses() {
    Comparison comparison = Tolerance.compare(new float[] {1, Float.NaN, 3, 4}, EXPECTED, ESTIMATE);
    assertEquals(Verdict.FAIL, comparison.verdict());
    assertEquals(1, comparison.worst().index());
  }

  @Test
  void aBoundThatIsNoNumberOrInfiniteNeverPasses() {
    for (double error : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
      Estimate estimate = Estimate.uniform(EXPECTED, 2, error);
      assertEquals(Verdict.FAIL, Tolerance.compare(EXPECTED, EXPECTED, estimate).verdict());
      float[] other = {5, -2, 3, 4};
      assertEquals(Verdict.FAIL, Tolerance.compare(other, EXPECTED, estimate).verdict());
    }
  }

  @Test
  void aBoundAsLargeAsTheValuesShowsNothingAndFails() {
    Estimate estimate = Estimate.uniform(EXPECTED, 2, 1);
    float[] other = {5, -2, 3, 4};
    Comparison comparison = Tolerance.compare(other, EXPECTED, estimate);
    assertEquals(Verdict.FAIL, comparison.verdict());
    assertEquals(Verdict.PASS, comparison.tolerant().verdict());
    float[] beyond = {50, -2, 3, 4};
    assertEquals(Verdict.FAIL, Tolerance.compare(beyond, EXPECTED, estimate).tolerant().verdict());
  }

  @Test
  void rowsAfterTheLastComparedDoNotCount() {
    float[] other = {1, -2, 30, 4};
    assertEquals(Verdict.PASS, Tolerance.compare(other, EXPECTED, ESTIMATE, 1).verdict());
    assertEquals(Verdict.FAIL, Tolerance.compare(other, EXPECTED, ESTIMATE, 2).verdict());
  }

  @Test
  void ofTwoComparisonsTheFailedOneIsWorse() {
    Comparison fine = Tolerance.compare(EXPECTED, EXPECTED, ESTIMATE);
    Comparison bad = Tolerance.compare(new float[] {Float.NaN, 0, 0, 0}, EXPECTED, ESTIMATE);
    assertEquals(Verdict.FAIL, fine.worse(bad).verdict());
    assertEquals(Verdict.FAIL, bad.worse(fine).verdict());
  }

  @Test
  void aDifferenceWhereNoneIsPossibleFails() {
    Estimate exact = Estimate.exact(EXPECTED, 2);
    assertEquals(Verdict.PASS, Tolerance.compare(EXPECTED, EXPECTED, exact).verdict());
    float[] other = {1, -2, 3, Math.nextUp(4f)};
    assertEquals(Verdict.FAIL, Tolerance.compare(other, EXPECTED, exact).verdict());
  }

  @Test
  void moreElementsAllowALargerDeviation() {
    assertTrue(Tolerance.deviations(1_000_000) > Tolerance.deviations(10));
  }
}

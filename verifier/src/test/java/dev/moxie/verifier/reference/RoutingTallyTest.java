package dev.moxie.verifier.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.runtime.execution.Layers;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Selections;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.Agreement;
import dev.moxie.verifier.routing.Decision;
import java.util.List;
import org.junit.jupiter.api.Test;

class RoutingTallyTest {
  /** Expert 1 and 2 are a hair apart, all others far. */
  private static final float[] SCORES = {0.5f, 0.2f, 0.2000001f, 0.1f};

  @Test
  void anotherOrderOfTheSameExpertsMatches() {
    Report.Routing routing = route(new int[] {0, 1}, new int[] {1, 0}, 1e-9);
    assertEquals(1, routing.match());
    assertEquals(1, routing.overlap());
  }

  @Test
  void anExchangeThatRoundingExplainsIsATie() {
    Report.Routing routing = route(new int[] {0, 1}, new int[] {0, 2}, 1e-7);
    assertEquals(1, routing.tie());
    assertEquals(Verdict.PASS, routing.verdict());
    assertEquals(0.5, routing.overlap());
    assertEquals(0, routing.firstDivergentLayer());
  }

  @Test
  void theSameExchangeIsAMismatchWhereRoundingIsFiner() {
    assertEquals(1, route(new int[] {0, 1}, new int[] {0, 2}, 1e-10).mismatch());
  }

  @Test
  void anExchangeOfADistantExpertIsAMismatchEvenBesideATie() {
    Report.Routing routing = route(new int[] {1, 3}, new int[] {0, 2}, 1e-7);
    assertEquals(1, routing.mismatch());
    assertEquals(Verdict.FAIL, routing.verdict());
  }

  @Test
  void aChoiceOfOursThatRoundingCannotExplainIsAMismatchHoweverRightTheirsIs() {
    Report.Routing routing = route(new int[] {2, 3}, new int[] {0, 2}, 1e-9);
    assertEquals(1, routing.mismatch());
    assertEquals(Verdict.FAIL, routing.verdict());
  }

  @Test
  void theFirstTiedTokenIsRememberedByLayer() {
    var tally = new RoutingTally(layer -> false);
    float[] scores = {0.5f, 0.2f, 0.2000001f, 0.1f, 0.5f, 0.2f, 0.2000001f, 0.1f};
    Estimate estimate = Estimate.uniform(scores, 4, 1e-7);
    tally.add(
        0, 0, chose(0, 1), new int[] {0, 1}, false, 4, selection(estimate), selection(estimate));
    assertEquals(Integer.MAX_VALUE, tally.firstTiedToken(1));
    tally.add(
        1, 1, chose(0, 1), new int[] {0, 2}, false, 4, selection(estimate), selection(estimate));
    assertEquals(1, tally.firstTiedToken(1));
    assertEquals(Integer.MAX_VALUE, tally.firstTiedToken(0), "of the first layer alone");
  }

  @Test
  void aTieInALayerThatLooksAheadReachesEveryToken() {
    var tally = new RoutingTally(layer -> layer == 1);
    float[] scores = {0.5f, 0.2f, 0.2000001f, 0.1f, 0.5f, 0.2f, 0.2000001f, 0.1f};
    Selection selection = selection(Estimate.uniform(scores, 4, 1e-7));
    tally.add(1, 1, chose(0, 1), new int[] {0, 2}, true, 4, selection, selection);
    assertEquals(0, tally.firstTiedToken(1));
    assertEquals(List.of(1), tally.byLayer().getFirst().dropped());
  }

  @Test
  void decisionsComeByTokenThenLayerWithVerdictAndReference() {
    var tally = new RoutingTally(layer -> false);
    float[] scores = {0.5f, 0.2f, 0.2000001f, 0.1f, 0.5f, 0.2f, 0.2000001f, 0.1f};
    Selection selection = selection(Estimate.uniform(scores, 4, 1e-7));
    tally.add(3, 0, chose(1, 0), new int[] {0, 1}, false, 4, selection, selection);
    tally.add(3, 1, chose(0, 1), new int[] {0, 2}, false, 4, selection, selection);
    tally.add(7, 0, chose(0, 3), new int[] {0, 2}, false, 4, selection, selection);
    tally.add(7, 1, chose(0, 2), new int[] {0, 2}, false, 4, selection, selection);
    List<Decision> decisions = tally.decisions();
    assertEquals(List.of(0, 0, 1, 1), decisions.stream().map(Decision::token).toList());
    assertEquals(List.of(3, 7, 3, 7), decisions.stream().map(Decision::layer).toList());
    assertEquals(
        List.of(Agreement.MATCH, Agreement.MISMATCH, Agreement.TIE, Agreement.MATCH),
        decisions.stream().map(Decision::agreement).toList());
    assertArrayEquals(new int[] {1, 0}, decisions.getFirst().experts());
    assertArrayEquals(new int[] {0, 1}, decisions.getFirst().reference());
    assertEquals(selection.margin(1), decisions.get(2).margin());
  }

  @Test
  void theMarginIsTheGapBetweenTheLastChosenAndTheFirstRejected() {
    assertTrue(route(new int[] {0, 2}, new int[] {0, 2}, 1e-9).smallestMargin() < 1e-6);
  }

  private static Report.Routing route(int[] ours, int[] theirs, double error) {
    var tally = new RoutingTally(layer -> false);
    Selection selection = selection(Estimate.uniform(SCORES, SCORES.length, error));
    tally.add(0, 0, chose(ours), theirs, false, 4, selection, selection);
    return tally.report();
  }

  private static Layers.Decision chose(int... experts) {
    return new Layers.Decision(experts, new float[experts.length]);
  }

  private static Selection selection(Estimate choice) {
    return Selections.of(2, null, choice, null);
  }
}

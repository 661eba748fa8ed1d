package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.RoutingOracle;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Set;

/**
 * The steps of one layer, each computed by the oracle from what the reference recorded just before
 * it: a step that fails is wrong itself, whatever the steps before it did. The residual stream
 * between the halves of a layer is not recorded; it is the layer's output without the second
 * half's, to the rounding of that sum.
 */
final class LayerInside {
  static final String ATTENTION = "attention";
  static final String NORM = "norm";
  static final String ROUTER = "router";
  static final String SELECTION = "selection";
  static final String WEIGHTS = "weights";
  static final String EXPERTS = "experts";
  static final String SHARED = "shared";
  static final String DENSE = "dense";

  private final Evidence evidence;
  private final int layer;

  LayerInside(Evidence evidence, int layer) {
    this.evidence = evidence;
    this.layer = layer;
  }

  /** Whether the trace has what the steps are computed from. */
  boolean isRecorded() {
    return switch (evidence.feedForward(layer)) {
      case FeedForward.Dense dense -> true;
      case FeedForward.MixtureOfExperts moe ->
          evidence.has(layer, "moe.input") && evidence.has(layer, "moe.output");
    };
  }

  /** Every step, in the order of computation. */
  List<Report.Step> steps() {
    Oracle oracle = evidence.oracle();
    List<Report.Step> steps = new ArrayList<>();
    switch (evidence.feedForward(layer)) {
      case FeedForward.Dense dense -> steps.add(step(DENSE, compare(oracle, DENSE)));
      case FeedForward.MixtureOfExperts moe -> {
        for (String name : List.of(ATTENTION, NORM, ROUTER)) {
          if (!name.equals(ROUTER) || evidence.has(layer, "router.logits")) {
            steps.add(step(name, compare(oracle, name)));
          }
        }
        steps.add(
            new Report.Step(SELECTION, Verdict.of(selectionHolds(oracle, moe)), null, List.of()));
        steps.add(step(WEIGHTS, compare(oracle, WEIGHTS)));
        Comparison experts = compare(oracle, EXPERTS);
        steps.add(
            new Report.Step(
                EXPERTS,
                experts.verdict(),
                experts,
                experts.verdict().passed() ? List.of() : wrongExperts(oracle, moe)));
        steps.add(step(SHARED, compare(oracle, SHARED)));
      }
    }
    return steps;
  }

  private static Report.Step step(String name, Comparison comparison) {
    return new Report.Step(name, comparison.verdict(), comparison, List.of());
  }

  /** Whether, computed by this oracle, all these steps hold. */
  boolean hold(Oracle oracle, List<String> steps) {
    return steps.stream()
        .allMatch(
            step ->
                step.equals(SELECTION)
                    ? selectionHolds(oracle, oracle.mixtureOf(layer))
                    : compare(oracle, step).verdict().passed());
  }

  /** One step, computed by an oracle. */
  Comparison compare(Oracle oracle, String step) {
    Estimate expected = expected(oracle, step);
    Estimate actual = compute(oracle, step);
    return Tolerance.compare(
        actual.toFloats(), expected.toFloats(), actual.withErrorsBeside(expected));
  }

  /** What the reference has for a step, if the package is right. */
  Estimate expected(String step) {
    return expected(evidence.oracle(), step);
  }

  /**
   * What the reference has for a step; with an error where that is a difference of two records,
   * which a model's multipliers have a part in.
   */
  Estimate expected(Oracle oracle, String step) {
    return switch (step) {
      case ATTENTION -> residual(oracle);
      case NORM -> evidence.given(layer, "moe.input");
      case ROUTER -> evidence.router(layer, "router.logits", moe().experts());
      case WEIGHTS -> evidence.router(layer, "router.weights", moe().routing().expertsPerToken());
      case EXPERTS -> evidence.given(layer, "experts.output");
      case SHARED ->
          evidence
              .given(layer, "moe.output")
              .minus(evidence.given(layer, "experts.output"), 1, evidence.precision());
      case DENSE -> evidence.given(layer, "output");
      default -> throw new IllegalArgumentException(step);
    };
  }

  /** The same, by an oracle from what was recorded before. */
  Estimate compute(Oracle oracle, String step) {
    return switch (step) {
      case ATTENTION -> oracle.attended(layer, evidence.given(layer, "input"));
      case NORM -> oracle.normed(layer, residual(oracle));
      case ROUTER -> oracle.routerLogits(layer, evidence.given(layer, "moe.input"));
      case WEIGHTS ->
          oracle
              .route(layer, oracle.mixtureOf(layer), logits(oracle), evidence.experts(layer, moe()))
              .weights();
      case EXPERTS ->
          oracle.experts(
              layer, oracle.mixtureOf(layer), evidence.given(layer, "moe.input"), recorded());
      case SHARED -> {
        Estimate normed = evidence.given(layer, "moe.input");
        FeedForward.SharedExperts shared = oracle.mixtureOf(layer).shared();
        yield shared == null
            ? Estimate.zeros(normed.rows(), normed.columns())
            : oracle.shared(layer, shared, normed);
      }
      case DENSE -> oracle.layer(layer, evidence.given(layer, "input"), null).output();
      default -> throw new IllegalArgumentException(step);
    };
  }

  private FeedForward.MixtureOfExperts moe() {
    return (FeedForward.MixtureOfExperts) evidence.feedForward(layer);
  }

  private Estimate logits(Oracle oracle) {
    return evidence.logits(oracle, layer, moe());
  }

  private Estimate residual(Oracle oracle) {
    Architecture.Multipliers multipliers = oracle.architecture().multipliers();
    double factor = multipliers == null ? 1 : multipliers.residual();
    return evidence
        .given(layer, "output")
        .minus(evidence.given(layer, "moe.output"), factor, evidence.precision());
  }

  /** Choice and weights as the reference recorded them. */
  RoutingOracle.Routed recorded() {
    Estimate weights = evidence.router(layer, "router.weights", moe().routing().expertsPerToken());
    return new RoutingOracle.Routed(
        logits(evidence.oracle()), null, evidence.experts(layer, moe()), weights);
  }

  private boolean selectionHolds(Oracle oracle, FeedForward.MixtureOfExperts moe) {
    var selection = new Selection(moe.routing(), oracle.route(layer, moe, logits(oracle), null));
    List<int[]> experts = evidence.experts(layer, moe);
    for (int t = 0; t < experts.size(); t++) {
      Set<Integer> chosen = Selection.set(experts.get(t));
      if (!selection.mayChoose(t, chosen)) {
        return false;
      }
    }
    return true;
  }

  /** Experts that some token chose, and whose every token's output is wrong. */
  private List<Integer> wrongExperts(Oracle oracle, FeedForward.MixtureOfExperts moe) {
    Estimate actual = compute(oracle, EXPERTS);
    float[] expected = evidence.recorded(layer, "experts.output");
    var used = new BitSet(moe.experts());
    var cleared = new BitSet(moe.experts());
    List<int[]> chosen = evidence.experts(layer, moe);
    for (int t = 0; t < chosen.size(); t++) {
      boolean holds = rowHolds(actual, expected, t);
      for (int expert : chosen.get(t)) {
        used.set(expert);
        cleared.set(expert, holds || cleared.get(expert));
      }
    }
    used.andNot(cleared);
    return used.stream().boxed().toList();
  }

  private static boolean rowHolds(Estimate actual, float[] expected, int row) {
    for (int c = 0; c < actual.columns(); c++) {
      double difference = Math.abs(actual.value(row, c) - expected[row * actual.columns() + c]);
      if (!(difference <= Tolerance.bound(actual.error(row, c), expected.length))) {
        return false;
      }
    }
    return true;
  }

  /** The steps that fail, by name. */
  static List<String> failing(List<Report.Step> steps) {
    return steps.stream().filter(step -> !step.verdict().passed()).map(Report.Step::name).toList();
  }
}

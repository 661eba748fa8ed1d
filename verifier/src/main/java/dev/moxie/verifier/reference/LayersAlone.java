package dev.moxie.verifier.reference;

import dev.moxie.format.model.Step;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.diagnosis.Diagnosis;
import dev.moxie.verifier.diagnosis.Evidence;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Recorded;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Embedding, layers and head, each on what the reference recorded before it. */
final class LayersAlone {
  private final Sides sides;
  private final Evidence evidence;
  private final RoutingTally tally;

  /**
   * A check.
   *
   * @param tally takes the routing decisions
   */
  LayersAlone(Sides sides, Evidence evidence, RoutingTally tally) {
    this.sides = sides;
    this.evidence = evidence;
    this.tally = tally;
  }

  /** What lies before the first layer and after the last, where those are verified. */
  Report.Ends ends() {
    boolean last = sides.layers().contains(sides.last());
    return new Report.Ends(
        sides.layers().contains(0) ? embedding() : null,
        last ? head() : null,
        last ? prediction() : List.of());
  }

  private List<Comparison> prediction() {
    return evidence.prediction().stream()
        .map(compared -> sides.tolerant("a prediction layer", compared))
        .toList();
  }

  private Comparison embedding() {
    long[] ids = sides.recorded().ids();
    Comparison embedding =
        Tolerance.compare(
            sides.plain().embed(ids),
            sides.recorded().get(0, Step.INPUT).toFloats(),
            sides.oracle().embed(ids));
    return sides.isQuantised() ? sides.tolerant("the embedding", embedding) : embedding;
  }

  private Comparison head() {
    Estimate hidden = sides.recorded().get(sides.last(), Step.OUTPUT);
    Comparison head =
        sides.compare(
            "head",
            sides.plain().head(hidden.toFloats()),
            "logits",
            sides.oracle().head(hidden),
            sides.tokens());
    return sides.tolerant("the head", head);
  }

  /**
   * One layer.
   *
   * @param experts that the reference chose; null in a layer without any
   */
  Report.Layer check(int layer, @Nullable List<int[]> experts) {
    Estimate input = sides.recorded().get(layer, Step.INPUT);
    Oracle.Layer exact = sides.oracle().layer(layer, input, experts);
    if (experts != null) {
      count(layer, sides.plain().layerAlone(layer, input.toFloats(), null), experts, exact);
    }
    return compare(layer, sides.plain().layerAlone(layer, input.toFloats(), experts), exact);
  }

  private void count(
      int layer, PlainModel.LayerResult free, List<int[]> experts, Oracle.Layer exact) {
    Selection selection = Selection.of(exact);
    List<PlainModel.Decision> own = Objects.requireNonNull(free.mixture()).decisions();
    int all = exact.step(Step.ROUTER_LOGITS).columns();
    for (int t = 0; t < experts.size(); t++) {
      tally.add(layer, t, own.get(t), experts.get(t), all, selection);
    }
  }

  /** Compares every step that the trace has; where one differs, looks inside. */
  private Report.Layer compare(int layer, PlainModel.LayerResult actual, Oracle.Layer exact) {
    Map<String, Comparison> steps = new LinkedHashMap<>();
    exact
        .steps()
        .forEach(
            (step, estimate) -> {
              String name = Recorded.name(layer, step);
              if (sides.recorded().has(layer, step)) {
                float[] own = values(actual, step);
                Comparison compared = sides.compare(step.id(), own, name, estimate, sides.tokens());
                boolean single = sides.precision() == Precision.F32 && !sides.isQuantised();
                steps.put(name, single ? compared : sides.tolerant(name, compared));
              }
            });
    Comparison output = Objects.requireNonNull(steps.get(Recorded.name(layer, Step.OUTPUT)));
    boolean holds = steps.values().stream().allMatch(step -> step.verdict().passed());
    return new Report.Layer(
        layer,
        output.maxAbs(),
        output.maxRel(),
        output.bound(),
        Verdict.of(holds),
        output.worst(),
        steps,
        null,
        witness(
            exact.output(), actual.output(), sides.recorded().get(layer, Step.OUTPUT).toFloats()),
        holds ? List.of() : Diagnosis.inside(evidence, layer));
  }

  /** A step as the runtime computed it. */
  private static float[] values(PlainModel.LayerResult layer, Step step) {
    if (step == Step.OUTPUT) {
      return layer.output();
    }
    PlainModel.Mixture mixture = Objects.requireNonNull(layer.mixture());
    return switch (step) {
      case MOE_INPUT -> mixture.normed();
      case ROUTER_LOGITS -> mixture.routerLogits();
      case ROUTER_WEIGHTS -> weights(mixture.decisions());
      case EXPERTS_OUTPUT -> mixture.expertsOutput();
      case MOE_OUTPUT -> mixture.output();
      case INPUT, ROUTER_EXPERTS, OUTPUT -> throw new IllegalArgumentException(step.id());
    };
  }

  private static float[] weights(List<PlainModel.Decision> decisions) {
    int k = decisions.getFirst().weights().length;
    float[] weights = new float[decisions.size() * k];
    for (int t = 0; t < decisions.size(); t++) {
      System.arraycopy(decisions.get(t).weights(), 0, weights, t * k, k);
    }
    return weights;
  }

  /** With whom the oracle agrees, to the bound. */
  private static String witness(Estimate exact, float[] runtime, float[] reference) {
    float[] values = exact.toFloats();
    boolean withRuntime = Tolerance.compare(runtime, values, exact).verdict().passed();
    boolean withReference = Tolerance.compare(reference, values, exact).verdict().passed();
    if (withRuntime) {
      return withReference ? "both" : "runtime";
    }
    return withReference ? "reference" : "neither";
  }
}

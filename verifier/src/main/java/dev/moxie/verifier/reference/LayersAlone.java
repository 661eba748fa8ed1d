package dev.moxie.verifier.reference;

import dev.moxie.format.model.Step;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.diagnosis.Diagnosis;
import dev.moxie.verifier.diagnosis.Evidence;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Texts;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.report.Words;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Embedding, layers and head, each on what the reference recorded before it. Where the runtime
 * rounds more than the reference, the package is held to the reference besides, as the oracle
 * computes it and to the reference's own errors: what is wrong with it may be less than the
 * runtime's rounding.
 */
final class LayersAlone {
  private static final int TOKENS_SHOWN = 6;

  private final Sides sides;
  private final Evidence evidence;
  private final RoutingTally tally;

  /** Tokens for which rounding decides which positions or experts count, by layer. */
  private final Map<Integer, List<Integer>> undecided = new TreeMap<>();

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

  /** What was held to nothing since rounding decides what it is, in sentences. */
  List<String> undecided() {
    List<String> sentences = new ArrayList<>();
    undecided.forEach(
        (layer, tokens) -> {
          boolean one = tokens.size() == 1;
          sentences.add(
              ("In layer %d rounding may decide which positions or experts count for %s %s: nothing"
                      + " was held to what becomes of %s.")
                  .formatted(
                      layer,
                      one ? "token" : "tokens",
                      Words.numbers(tokens, TOKENS_SHOWN),
                      one ? "it" : "them"));
        });
    return sentences;
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
    Texts texts = sides.recorded().texts();
    Comparison embedding = embedding(texts.of(0), 0);
    int decoder = texts.encoderLayers();
    if (decoder > 0) {
      embedding = embedding.worse(embedding(texts.of(decoder), decoder));
    }
    boolean strict = alike() && !sides.isQuantised();
    return strict ? embedding : sides.tolerant("the embedding", embedding);
  }

  private Comparison embedding(long[] ids, int layer) {
    String name = sides.recorded().name(layer, Step.INPUT);
    Estimate exact = sides.oracle().embed(ids);
    Estimate judged = alike() ? exact : sides.judge().embed(ids);
    return compare("embedding", sides.parts().embed(ids), name, exact, judged);
  }

  private Comparison head() {
    Estimate hidden = sides.recorded().get(sides.last(), Step.OUTPUT);
    Estimate exact = sides.oracle().head(sides.oracle().given(hidden));
    Estimate judged = alike() ? exact : sides.judge().head(hidden);
    float[] own = sides.parts().head(hidden.toFloats());
    Comparison head = compare("head", own, "logits", exact, judged);
    return sides.tolerant("the head", head);
  }

  /** Whether both sides round alike. */
  private boolean alike() {
    return sides.precisions().alike();
  }

  /**
   * A step of the runtime or, where that holds and the package does not, of the package.
   *
   * @param exact with the errors of both sides
   * @param judged with those of the reference alone
   */
  private Comparison compare(
      String step, float[] own, String name, Estimate exact, Estimate judged) {
    Comparison ofRuntime = sides.compare(step, own, name, exact, exact.rows());
    if (alike() || !ofRuntime.tolerant().verdict().passed()) {
      return ofRuntime;
    }
    Comparison ofPackage = sides.compare(step, judged.toFloats(), name, judged, judged.rows());
    return ofPackage.tolerant().verdict().passed() ? ofRuntime : ofPackage;
  }

  /**
   * One layer.
   *
   * @param experts that the reference chose; null in a layer without any
   */
  Report.Layer check(int layer, @Nullable List<int[]> experts) {
    Estimate input = sides.recorded().get(layer, Step.INPUT);
    long[] ids = sides.recorded().texts().of(layer);
    float[] given = input.toFloats();
    Oracle.Layer exact =
        sides.oracle(layer).layer(layer, ids, sides.oracle().given(input), experts);
    Oracle.Layer judged = alike() ? exact : sides.judge(layer).layer(layer, ids, input, experts);
    if (sides.pack().architecture().layers().get(layer).cross() != null) {
      sides.parts().read(sides.left().toFloats());
    }
    if (experts != null) {
      count(layer, sides.parts().layerAlone(layer, ids, given, null), experts, exact, judged);
    }
    if (!exact.undecided().isEmpty()) {
      undecided.put(layer, exact.undecided().stream().boxed().toList());
    }
    Layers.Result own = sides.parts().layerAlone(layer, ids, given, experts);
    return compare(layer, own, exact, judged);
  }

  private void count(
      int layer, Layers.Result free, List<int[]> experts, Oracle.Layer exact, Oracle.Layer judged) {
    Selection ours = Selection.of(exact);
    Selection theirs = Selection.of(judged);
    List<Layers.Decision> own = Objects.requireNonNull(free.mixture()).decisions();
    int all = exact.step(Step.ROUTER_LOGITS).columns();
    Estimate dropped = exact.steps().get(Step.ROUTER_DROPPED);
    for (int t = 0; t < experts.size(); t++) {
      boolean some = dropped != null && dropped.hasAny(t);
      tally.add(layer, t, own.get(t), experts.get(t), some, all, ours, theirs);
    }
  }

  /** Compares every step that the trace has; where one differs, looks inside. */
  private Report.Layer compare(
      int layer, Layers.Result actual, Oracle.Layer exact, Oracle.Layer judged) {
    Map<String, Comparison> steps = new LinkedHashMap<>();
    exact
        .steps()
        .forEach(
            (step, estimate) -> {
              String name = sides.recorded().name(layer, step);
              if (sides.recorded().has(layer, step)) {
                float[] own = values(actual, step);
                Comparison compared = compare(step.id(), own, name, estimate, judged.step(step));
                steps.put(name, sides.isSingle() ? compared : sides.tolerant(name, compared));
              }
            });
    Comparison output =
        Objects.requireNonNull(steps.get(sides.recorded().name(layer, Step.OUTPUT)));
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
            exact.output(),
            judged.output(),
            actual.output(),
            sides.recorded().get(layer, Step.OUTPUT).toFloats()),
        holds ? List.of() : Diagnosis.inside(evidence, layer));
  }

  /** A step as the runtime computed it. */
  private static float[] values(Layers.Result layer, Step step) {
    if (step == Step.OUTPUT) {
      return layer.output();
    }
    Layers.Mixture mixture = Objects.requireNonNull(layer.mixture());
    return switch (step) {
      case MOE_INPUT -> mixture.normed();
      case ROUTER_LOGITS -> mixture.routerLogits();
      case ROUTER_DROPPED -> Objects.requireNonNull(mixture.dropped());
      case ROUTER_WEIGHTS -> weights(mixture.decisions());
      case EXPERTS_OUTPUT -> mixture.expertsOutput();
      case MOE_OUTPUT -> mixture.output();
      case INPUT, ROUTER_EXPERTS, OUTPUT -> throw new IllegalArgumentException(step.id());
    };
  }

  private static float[] weights(List<Layers.Decision> decisions) {
    int k = decisions.getFirst().weights().length;
    float[] weights = new float[decisions.size() * k];
    for (int t = 0; t < decisions.size(); t++) {
      System.arraycopy(decisions.get(t).weights(), 0, weights, t * k, k);
    }
    return weights;
  }

  /**
   * With whom the oracle agrees, to the bound.
   *
   * @param exact with the errors of both
   * @param judged with those of the reference alone
   */
  private static String witness(
      Estimate exact, Estimate judged, float[] runtime, float[] reference) {
    float[] values = exact.toFloats();
    boolean withRuntime = Tolerance.compare(runtime, values, exact).verdict().passed();
    boolean withReference = Tolerance.compare(reference, values, judged).verdict().passed();
    if (withRuntime) {
      return withReference ? "both" : "runtime";
    }
    return withReference ? "reference" : "neither";
  }
}

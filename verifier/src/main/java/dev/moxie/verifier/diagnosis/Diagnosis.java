package dev.moxie.verifier.diagnosis;

import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Words;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Says in sentences where a reference is first contradicted, and whom the oracle believes. */
public final class Diagnosis {
  private static final int EXPERTS_SHOWN = 8;

  private Diagnosis() {}

  /**
   * The steps of a layer that differs, for {@link Report.Layer#inside}; nothing where the time for
   * diagnosis is spent.
   */
  public static List<Report.Step> inside(Evidence evidence, int layer) {
    Budget budget = evidence.budget();
    return budget.isSpent() ? List.of() : budget.during(() -> evidence.inside(layer));
  }

  /** What known defects explain, one sentence each, and what there was no time to try. */
  public static List<String> looksLike(
      Evidence evidence, Report.Routing routing, Report.Ends ends, List<Report.Layer> layers) {
    return evidence
        .budget()
        .during(
            () ->
                FixedExperts.explain(evidence, layers)
                    .map(List::of)
                    .orElseGet(() -> new Trial(evidence).explain(routing, ends, layers)));
  }

  /**
   * Where the reference is contradicted.
   *
   * @param firstTiedToken beyond all tokens if there is none
   */
  public static List<String> of(
      Evidence evidence,
      Report.Routing routing,
      Report.Ends ends,
      List<Report.Layer> layers,
      Map<String, Report.EndToEnd> executions,
      int firstTiedToken) {
    List<String> sentences = new ArrayList<>();
    if (!Report.holds(ends.embedding())) {
      sentences.add("The embeddings of the tokens differ, before any layer.");
    }
    layers.stream()
        .filter(layer -> !layer.verdict().passed())
        .findFirst()
        .ifPresent(layer -> sentences.add(firstBadLayer(layer) + firstWrongStep(evidence, layer)));
    if (routing.mismatch() > 0) {
      sentences.add(
          "%d of %d routing decisions choose other experts, from layer %d on."
              .formatted(routing.mismatch(), routing.decisions(), routing.firstDivergentLayer()));
    }
    if (routing.tie() > 0) {
      sentences.add(
          "Routing is tied at token %d: logits were compared before it, greedy tokens not judged."
              .formatted(firstTiedToken));
    }
    if (!Report.holds(ends.head())) {
      sentences.add("From the reference's own last hidden state, final norm and head give others.");
    }
    boolean layersHold = ends.hold() && layers.stream().allMatch(layer -> layer.verdict().passed());
    executions.forEach(
        (name, run) -> {
          if (layersHold && !run.logits().verdict().passed()) {
            sentences.add(
                "Every part agrees by itself, but the logits of the "
                    + name
                    + " execution do not: look at that lowering.");
          }
        });
    return sentences;
  }

  private static String firstBadLayer(Report.Layer layer) {
    String step =
        layer.steps().entrySet().stream()
            .filter(entry -> !entry.getValue().verdict().passed())
            .map(Map.Entry::getKey)
            .findFirst()
            .orElseThrow();
    String witness =
        switch (layer.oracle()) {
          case "runtime" ->
              "the oracle computes what the runtime does, so the package's weights or"
                  + " architecture are not the reference's";
          case "reference" -> "the oracle sides with the reference, so the lowering is wrong";
          case "both" -> "the oracle is within the bound of both";
          default -> "the oracle agrees with neither";
        };
    return "Layer %d is the first that differs, first at %s; %s."
        .formatted(layer.layer(), step, witness);
  }

  private static String firstWrongStep(Evidence evidence, Report.Layer layer) {
    if (layer.inside().isEmpty()) {
      return evidence.layer(layer.layer()).stages().isEmpty()
          ? " The trace has no moe.input and moe.output to look inside with."
          : " There was no time to look inside it (--diagnosis).";
    }
    List<Report.Step> wrong =
        layer.inside().stream().filter(step -> !step.verdict().passed()).toList();
    if (wrong.isEmpty()) {
      return " Given the reference's own input to each, the package's weights explain every step.";
    }
    String others = wrong.stream().skip(1).map(Report.Step::name).collect(Collectors.joining(", "));
    return " Inside it, the first wrong step is %s%s; %s."
        .formatted(
            wrong.getFirst().name(),
            experts(wrong.getFirst()),
            others.isEmpty()
                ? "the steps after it are right"
                : "wrong by themselves also " + others);
  }

  private static String experts(Report.Step step) {
    String numbers = Words.numbers(step.experts(), EXPERTS_SHOWN);
    return switch (step.experts().size()) {
      case 0 -> "";
      case 1 -> " (" + numbers + ")";
      default -> " (some of " + numbers + ")";
    };
  }
}

package dev.moxie.verifier.reference;

import dev.moxie.verifier.report.Report;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Says in sentences where a reference is first contradicted, and whom the oracle believes. */
final class Diagnosis {
  private Diagnosis() {}

  static List<String> of(
      Report.Routing routing,
      List<Report.Layer> layers,
      Map<String, Report.EndToEnd> executions,
      int firstTiedToken) {
    List<String> sentences = new ArrayList<>();
    layers.stream()
        .filter(layer -> !layer.verdict().passed())
        .findFirst()
        .ifPresent(layer -> sentences.add(firstBadLayer(layer)));
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
    boolean layersHold = layers.stream().allMatch(layer -> layer.verdict().passed());
    executions.forEach(
        (name, run) -> {
          if (layersHold && !run.logits().verdict().passed()) {
            sentences.add(
                "Every layer agrees, but the logits of the "
                    + name
                    + " execution do not: look at embedding, final norm, head, or that lowering.");
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
}

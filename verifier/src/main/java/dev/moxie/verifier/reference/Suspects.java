package dev.moxie.verifier.reference;

import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.report.Report;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Names what a wrong package looks like: known defects are supposed one at a time, the oracle
 * computes what the package would give without them, and one after which the reference's numbers
 * come out is named.
 */
final class Suspects {
  private static final Set<String> AFTER_WEIGHTS = Set.of("experts.output", "moe.output", "output");

  private final MoxiePackage pack;
  private final Trace trace;
  private final double unitRoundoff;

  Suspects(MoxiePackage pack, Trace trace, double unitRoundoff) {
    this.pack = pack;
    this.trace = trace;
    this.unitRoundoff = unitRoundoff;
  }

  /** One sentence per defect that explains something; none if the catalogue has no explanation. */
  List<String> explain(Report.Routing routing, List<Report.Layer> layers) {
    List<String> sentences = new ArrayList<>();
    boolean weightsDiffer = layers.stream().anyMatch(layer -> fails(layer, "router.weights"));
    if (routing.mismatch() > 0 || weightsDiffer) {
      sentences.addAll(new RoutingSuspects(pack, trace, unitRoundoff).explain());
    }
    layers.stream()
        .filter(Suspects::failsBesidesItsWeights)
        .findFirst()
        .flatMap(layer -> new LayerSuspects(pack, trace, unitRoundoff).explain(layer))
        .ifPresent(sentences::add);
    return sentences;
  }

  private static boolean fails(Report.Layer layer, String step) {
    var comparison = layer.steps().get("layers." + layer.layer() + "." + step);
    return comparison != null && !comparison.verdict().passed();
  }

  /** Wrong routing weights make everything after them wrong. */
  private static boolean failsBesidesItsWeights(Report.Layer layer) {
    boolean weightsDiffer = fails(layer, "router.weights");
    return layer.steps().entrySet().stream()
        .filter(step -> !step.getValue().verdict().passed())
        .map(step -> step.getKey().replaceFirst("^layers\\.\\d+\\.", ""))
        .anyMatch(
            step ->
                !step.equals("router.weights") && !(weightsDiffer && AFTER_WEIGHTS.contains(step)));
  }
}

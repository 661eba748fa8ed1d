package dev.moxie.verifier.diagnosis;

import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Names what a wrong package looks like: known defects are supposed one at a time, the oracle
 * computes what the package would give without them, and one after which the reference's numbers
 * come out is named.
 */
final class Suspects {
  private final Evidence evidence;

  Suspects(Evidence evidence) {
    this.evidence = evidence;
  }

  /** One sentence per defect that explains something; none if the catalogue has no explanation. */
  List<String> explain(Report.Routing routing, Report.Ends ends, List<Report.Layer> layers) {
    List<String> sentences = new ArrayList<>(new EndSuspects(evidence).explain(ends));
    Optional<LayerSuspects> first =
        layers.stream()
            .filter(layer -> !layer.verdict().passed())
            .findFirst()
            .map(layer -> new LayerSuspects(evidence, layer.layer(), layer.inside()));
    Optional<String> whole = first.flatMap(LayerSuspects::explainWhole);
    if (whole.isPresent()) {
      sentences.add(whole.get());
      return sentences;
    }
    boolean weightsDiffer = layers.stream().anyMatch(layer -> fails(layer, "router.weights"));
    if (routing.mismatch() > 0 || weightsDiffer) {
      sentences.addAll(new RoutingSuspects(evidence).explain());
    }
    first.map(LayerSuspects::explainSteps).ifPresent(sentences::addAll);
    return sentences;
  }

  private static boolean fails(Report.Layer layer, String step) {
    Comparison comparison = layer.steps().get("layers." + layer.layer() + "." + step);
    return comparison != null && !comparison.verdict().passed();
  }
}

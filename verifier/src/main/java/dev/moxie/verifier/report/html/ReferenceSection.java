package dev.moxie.verifier.report.html;

import dev.moxie.format.text.Line;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.LayerErrors;
import dev.moxie.verifier.report.Markup;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.report.Words;
import dev.moxie.runtime.execution.Utilisation;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** All about one reference. */
final class ReferenceSection {
  private static final int ROWS = 200;
  private static final int INSIDE_SHOWN = 20;
  private static final int DECISIONS_SHOWN = 50;
  private static final int EXPERTS_SHOWN = 16;

  private final Markup page;
  private final Report.Reference reference;

  private ReferenceSection(Markup page, Report.Reference reference) {
    this.page = page;
    this.reference = reference;
  }

  /**
   * Writes the section.
   *
   * @param open whether it is unfolded
   */
  static void write(Markup page, Report.Reference reference, boolean open) {
    var section = new ReferenceSection(page, reference);
    try (var _ =
        open
            ? page.open("details", "class", "reference", "open", "open")
            : page.open("details", "class", "reference")) {
      try (var _ = page.open("summary")) {
        Parts.heading(page, "Reference", reference.verdict());
        page.element("span", Line.of(reference.file()), "class", "path");
      }
      Parts.diagnosis(
          page, reference.diagnosis(), reference.verdict().passed() ? "callout" : "callout bad");
      section.origin();
      if (!reference.layers().isEmpty()) {
        LayerErrorChart.draw(page, reference.layers());
        section.layers();
        section.inside();
      }
      section.routing();
      section.endToEnd();
    }
  }

  private void origin() {
    String producer = reference.producer();
    page.element(
        "p",
        Figures.text(
            "%s, computed in %s%s. Tolerance: %s.",
            Figures.of(reference.tokens(), "token"),
            reference.precision(),
            producer == null ? "" : " by " + Line.of(producer),
            Line.of(reference.tolerance())));
    Report.Noise noise = reference.noise();
    if (noise != null) {
      try (var _ = Parts.details(page, "Rounding measured with a second reference")) {
        page.element(
            "p",
            Line.of(noise.file())
                + ": bounds are multiplied by these factors, in units of the derived deviation.");
        try (var table = Table.open(page, "Step", "Factor")) {
          noise
              .factors()
              .forEach((step, factor) -> table.row(true, Line.of(step), Figures.decimal(factor)));
        }
      }
    }
  }

  private void layers() {
    try (var _ = Parts.details(page, "Layers in numbers")) {
      try (var table =
          Table.open(
              page,
              "Layer",
              "Verdict",
              "Max abs",
              "Max rel",
              "Bound",
              "Output, of bound",
              "Any step, of bound",
              "From the tokens on",
              "Oracle agrees with")) {
        for (Report.Layer layer : reference.layers().subList(0, rows(reference.layers()))) {
          table.row(
              LayerErrors.hold(layer),
              Integer.toString(layer.layer()),
              Words.of(Verdict.of(LayerErrors.hold(layer))),
              Figures.measured(layer.maxAbs()),
              Figures.measured(layer.maxRel()),
              Figures.measured(layer.bound()),
              Figures.percent(layer.worst().ratio()),
              Figures.percent(LayerErrors.alone(layer).ratio()),
              layer.accumulated() == null
                  ? "–"
                  : Figures.percent(layer.accumulated().worst().ratio()),
              Line.of(layer.oracle()));
        }
      }
      more(reference.layers());
    }
    try (var _ = Parts.details(page, "Steps in numbers")) {
      try (var table = comparisons("Step")) {
        for (Report.Layer layer : reference.layers().subList(0, rows(reference.layers()))) {
          layer.steps().forEach((name, step) -> comparison(table, name, step));
        }
      }
      more(reference.layers());
    }
  }

  private static int rows(List<?> items) {
    return Math.min(items.size(), ROWS);
  }

  private void more(List<?> layers) {
    if (layers.size() > ROWS) {
      page.element("p", Figures.text("… and %,d more layers", layers.size() - ROWS));
    }
  }

  private Table comparisons(String head) {
    return Table.open(
        page,
        head,
        "Verdict",
        "Max abs",
        "Max rel",
        "Bound",
        "Of bound",
        "At",
        "Here",
        "Reference");
  }

  /** A comparison, if it was made. */
  private static void compared(Table table, String name, @Nullable Comparison comparison) {
    if (comparison != null) {
      comparison(table, name, comparison);
    }
  }

  private static void comparison(Table table, String name, Comparison comparison) {
    Comparison.Element worst = comparison.worst();
    table.row(
        comparison.verdict().passed(),
        Line.of(name),
        Words.of(comparison.verdict()),
        Figures.measured(comparison.maxAbs()),
        Figures.measured(comparison.maxRel()),
        Figures.measured(comparison.bound()),
        Figures.percent(worst.ratio()),
        Figures.text("[%d, %d]", worst.token(), worst.index()),
        Figures.text("%.6g", worst.actual()),
        Figures.text("%.6g", worst.expected()));
  }

  /** The steps of layers that fail, each on the reference's own input to that step. */
  private void inside() {
    List<Report.Layer> failing =
        reference.layers().stream().filter(layer -> !layer.inside().isEmpty()).toList();
    for (Report.Layer layer : failing.subList(0, Math.min(failing.size(), INSIDE_SHOWN))) {
      try (var _ = page.open("div", "class", "callout bad")) {
        page.element("h3", "Inside layer " + layer.layer());
        page.element(
            "p", "Each step on the reference's own input to it: the first that fails is wrong.");
        try (var table =
            Table.open(page, "Step", "Verdict", "Max abs", "Bound", "Of bound", "Experts")) {
          layer.inside().forEach(step -> step(table, step));
        }
      }
    }
  }

  private static void step(Table table, Report.Step step) {
    Comparison comparison = step.comparison();
    table.row(
        step.verdict().passed(),
        Line.of(step.name()),
        Words.of(step.verdict()),
        comparison == null ? "–" : Figures.measured(comparison.maxAbs()),
        comparison == null ? "–" : Figures.measured(comparison.bound()),
        comparison == null ? "–" : Figures.percent(comparison.worst().ratio()),
        step.experts().isEmpty() ? "–" : Words.numbers(step.experts(), EXPERTS_SHOWN));
  }

  private void routing() {
    Report.Routing routing = reference.routing();
    if (reference.routingByLayer().isEmpty()) {
      return;
    }
    try (var _ = page.open("div", "class", "routing")) {
      Parts.heading(page, "Routing", routing.verdict());
      try (var counts = Counts.open(page)) {
        counts.add("decisions", routing.decisions());
        counts.add("match", routing.match());
        counts.add("tie", routing.tie());
        counts.bad("mismatch", routing.mismatch());
        counts.add("experts in common", Figures.percent(routing.overlap()));
        counts.add("tokens affected", routing.tokensAffected());
        Integer first = routing.firstDivergentLayer();
        counts.add("first divergent layer", first == null ? "none" : first.toString());
        Double margin = routing.smallestMargin();
        counts.add("smallest margin", margin == null ? "none" : Figures.measured(margin));
      }
      RoutingMap.draw(page, reference.routingByLayer());
      if (routing.match() < routing.decisions()) {
        differing();
      }
      MarginChart.draw(page, reference.routingByLayer());
      UtilisationMap.draw(page, reference.routingByLayer());
      utilisation();
    }
  }

  private void differing() {
    int shown = 0;
    try (var _ =
        Parts.details(page, Figures.text("Decisions that differ, the first %d", DECISIONS_SHOWN))) {
      try (var table = Table.open(page, "Layer", "Token", "Verdict", "Margin")) {
        for (Report.LayerRouting layer : reference.routingByLayer()) {
          for (int t = 0; t < layer.decisions().length() && shown < DECISIONS_SHOWN; t++) {
            char decision = layer.decisions().charAt(t);
            if (decision != 'M') {
              Double margin = layer.margins().get(t);
              table.row(
                  decision == 'T',
                  Integer.toString(layer.layer()),
                  Integer.toString(t),
                  decision == 'T' ? "tie" : "MISMATCH",
                  margin == null ? "–" : Figures.measured(margin));
              shown++;
            }
          }
        }
      }
    }
  }

  private void utilisation() {
    try (var _ = Parts.details(page, "Routing by layer in numbers")) {
      page.element(
          "p",
          "Imbalance: the busiest expert's load over even load. Effective experts: as many evenly"
              + " used ones have the same entropy. Collapsed: nearer to the chosen number than to"
              + " all.");
      try (var table =
          Table.open(
              page,
              "Layer",
              "Match",
              "Tie",
              "Mismatch",
              "In common",
              "Imbalance",
              "Entropy, nats",
              "Effective experts",
              "Unused",
              "Dead",
              "Collapsed")) {
        for (Report.LayerRouting layer :
            reference.routingByLayer().subList(0, rows(reference.routingByLayer()))) {
          Utilisation use = layer.utilisation();
          table.row(
              layer.mismatch() == 0,
              Integer.toString(layer.layer()),
              Figures.count(layer.match()),
              Figures.count(layer.tie()),
              Figures.count(layer.mismatch()),
              Figures.percent(layer.overlap()),
              Figures.decimal(use.imbalance()),
              Figures.decimal(use.entropy()),
              Figures.text("%.1f of %d", use.effectiveExperts(), use.counts().size()),
              Words.numbers(use.unused(), EXPERTS_SHOWN),
              Words.numbers(use.dead(), EXPERTS_SHOWN),
              use.collapsed() ? "yes" : "no");
        }
      }
      more(reference.routingByLayer());
    }
  }

  private void endToEnd() {
    page.element("h3", "From tokens to logits");
    try (var table = comparisons("What")) {
      compared(table, "embedding alone", reference.ends().embedding());
      compared(table, "head alone", reference.ends().head());
      Words.prediction(reference.ends())
          .forEach((name, compared) -> compared(table, name + " alone", compared));
      reference.executions().forEach((name, run) -> comparison(table, name, run.logits()));
      compared(table, Words.permuted(), reference.permuted());
    }
    if (reference.executions().isEmpty()) {
      page.element("p", "Nothing was computed from the tokens on, since layers were left out.");
      return;
    }
    page.element("h3", "Predictions");
    try (var table = Table.open(page, "Execution", "KL mean", "KL worst", "Same likeliest token")) {
      reference
          .executions()
          .forEach(
              (name, run) ->
                  table.row(
                      true,
                      name,
                      Figures.measured(run.divergence().mean()),
                      Figures.measured(run.divergence().worst()),
                      Figures.percent(run.divergence().agreement())));
    }
    page.element("h3", "Greedy tokens");
    try (var table = Table.open(page, "Execution", "Verdict", "Equal", "Recorded", "Judged")) {
      reference
          .executions()
          .forEach(
              (name, run) ->
                  table.row(
                      run.greedy().verdict().passed(),
                      name,
                      Words.of(run.greedy().verdict()),
                      Figures.count(run.greedy().equal()),
                      Figures.count(run.greedy().tokens()),
                      run.greedy().open() ? "no, rounding may decide" : "yes"));
    }
  }
}

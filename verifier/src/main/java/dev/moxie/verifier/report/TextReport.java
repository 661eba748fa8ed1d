package dev.moxie.verifier.report;

import dev.moxie.format.text.Lines;
import dev.moxie.runtime.execution.Utilisation;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The report as lines for a person. */
public final class TextReport {
  private static final int FINDINGS_SHOWN = 20;
  private static final int EXPERTS_SHOWN = 8;

  private final Lines lines = new Lines();

  private TextReport() {}

  /** All lines. */
  public static String of(Report report) {
    var text = new TextReport();
    text.integrity(report.integrity());
    if (report.equivalence() != null) {
      text.equivalence(report.equivalence());
    }
    if (report.device() != null) {
      text.device(report.device());
    }
    report.references().forEach(text::reference);
    report.unlike().forEach(text::unlike);
    if (report.invariance() != null) {
      text.invariance(report.invariance());
    }
    report.notChecked().forEach(item -> text.lines.add("not checked  %s", item));
    text.lines.add("verdict      %s  %s", Words.of(report.verdict()), report.packageFolder());
    return text.lines.toString();
  }

  private void integrity(Report.Integrity integrity) {
    lines.add(
        "integrity    %s  %d files, %,d bytes",
        Words.of(integrity.verdict()), integrity.files(), integrity.bytes());
    findings(integrity.findings());
  }

  private void equivalence(Report.Equivalence e) {
    lines.add(
        "equivalence  %s  %d source tensors: %d identical, %d within bound, %d different, %d"
            + " missing, %d left out by choice; %d extra",
        Words.of(e.verdict()),
        e.tensors(),
        e.identical(),
        e.withinBound(),
        e.different(),
        e.missing(),
        e.leftOut(),
        e.extra());
    findings(e.findings());
  }

  private void device(Report.Device device) {
    lines.add("device       %s", Words.of(device));
    device.refusals().forEach(refusal -> lines.add("  opening    FAIL  %s", refusal));
  }

  private void reference(Report.Reference r) {
    lines.add("reference    %s  %s, %d tokens", Words.of(r.verdict()), r.file(), r.tokens());
    lines.add(
        "  routing    %s  %d decisions: %d match, %d tie, %d mismatch; smallest margin %s",
        Words.of(r.routing().verdict()),
        r.routing().decisions(),
        r.routing().match(),
        r.routing().tie(),
        r.routing().mismatch(),
        r.routing().smallestMargin() == null
            ? "none"
            : String.format(Locale.ROOT, "%.2g", r.routing().smallestMargin()));
    r.routingByLayer().forEach(this::routing);
    comparison("embedding", r.ends().embedding());
    r.layers().forEach(this::layer);
    comparison("head", r.ends().head());
    Words.prediction(r.ends()).forEach(this::comparison);
    r.executions()
        .forEach(
            (name, run) -> {
              lines.add(
                  "  %-9s  %s  logits max abs %.2e  max rel %.2e  bound %.2e; greedy %d of %d"
                      + " tokens equal%s",
                  name,
                  Words.of(
                      Verdict.of(
                          run.logits().verdict().passed() && run.greedy().verdict().passed())),
                  run.logits().maxAbs(),
                  run.logits().maxRel(),
                  run.logits().bound(),
                  run.greedy().equal(),
                  run.greedy().tokens(),
                  run.greedy().open() ? ", parting where rounding may decide" : "");
              lines.add("                   %s", Words.of(run.divergence()));
            });
    if (r.permuted() != null) {
      invariant(Words.permuted(), r.permuted());
    }
    lines.add("  tolerance  %s", r.tolerance());
    if (r.noise() != null) {
      lines.add("  noise      %s", noise(r.noise()));
    }
    r.diagnosis().forEach(sentence -> lines.add("  diagnosis  %s", sentence));
  }

  private void unlike(Report.Unlike unlike) {
    lines.add(
        "reference    %s  %s, of a model of another shape",
        Words.of(unlike.verdict()), unlike.file());
    unlike.differences().forEach(sentence -> lines.add("  difference %s", sentence));
  }

  private void invariance(Report.Invariance invariance) {
    lines.add(
        "invariance   %s  logits of the first %d of %d tokens",
        Words.of(invariance.verdict()), invariance.judged(), invariance.tokens());
    invariance
        .executions()
        .forEach(
            (execution, ways) ->
                ways.forEach((way, compared) -> invariant(execution + ", " + way, compared)));
  }

  private void invariant(String name, Comparison compared) {
    lines.add(
        "  invariant  %s  %s: max abs %.2e  max rel %.2e  bound %.2e",
        Words.of(compared.verdict()), name, compared.maxAbs(), compared.maxRel(), compared.bound());
    failedStep(name, compared);
  }

  private void layer(Report.Layer layer) {
    lines.add(
        "  layer %-3d  %s  max abs %.2e  max rel %.2e  bound %.2e; nearest %s of its bound%s",
        layer.layer(),
        Words.of(layer.verdict()),
        layer.maxAbs(),
        layer.maxRel(),
        layer.bound(),
        Figures.percent(layer.worst().ratio()),
        accumulated(layer.accumulated()));
    layer.steps().forEach(this::failedStep);
    for (Report.Step step : layer.inside()) {
      lines.add("    alone    %s  %s", Words.of(step.verdict()), Words.of(step));
    }
  }

  private static String accumulated(@Nullable Comparison accumulated) {
    return accumulated == null
        ? ""
        : ", from the tokens on "
            + Figures.percent(accumulated.worst().ratio())
            + (accumulated.verdict().passed() ? "" : " FAIL");
  }

  private void routing(Report.LayerRouting layer) {
    Utilisation use = layer.utilisation();
    lines.add(
        "    layer %-3d overlap %.2f  match %d tie %d mismatch %d; imbalance %.2f, %.1f of %d"
            + " experts in effect%s%s%s",
        layer.layer(),
        layer.overlap(),
        layer.match(),
        layer.tie(),
        layer.mismatch(),
        use.imbalance(),
        use.effectiveExperts(),
        use.counts().size(),
        use.dead().isEmpty() ? "" : ", dead " + Words.numbers(use.dead(), EXPERTS_SHOWN),
        use.collapsed() ? ", collapsed" : "",
        layer.dropped().isEmpty()
            ? ""
            : ", choices dropped of tokens " + Words.numbers(layer.dropped(), EXPERTS_SHOWN));
  }

  /** One that holds is not worth a line. */
  private void comparison(String name, @Nullable Comparison comparison) {
    if (comparison != null && !comparison.verdict().passed()) {
      lines.add(
          "  %-9s  FAIL  max abs %.2e  max rel %.2e",
          name, comparison.maxAbs(), comparison.maxRel());
      failedStep(name, comparison);
    }
  }

  private static String noise(Report.Noise noise) {
    return noise.factors().entrySet().stream()
        .map(step -> String.format(Locale.ROOT, "%s %.2g", step.getKey(), step.getValue()))
        .collect(Collectors.joining(", ", "bounds times, by " + noise.file() + ": ", ""));
  }

  private void failedStep(String name, Comparison step) {
    if (!step.verdict().passed()) {
      lines.add(
          "    %s  FAIL  at [%d, %d] %.6g, reference %.6g, bound %.2e",
          name,
          step.worst().token(),
          step.worst().index(),
          step.worst().actual(),
          step.worst().expected(),
          step.worst().bound());
    }
  }

  private void findings(List<Finding> findings) {
    findings.stream().limit(FINDINGS_SHOWN).forEach(finding -> lines.add("  %s", finding));
    if (findings.size() > FINDINGS_SHOWN) {
      lines.add("  … and %d more", findings.size() - FINDINGS_SHOWN);
    }
  }
}

package dev.moxie.verifier.report;

import dev.moxie.format.text.Line;
import java.util.List;
import java.util.StringJoiner;
import org.jspecify.annotations.Nullable;

/** The report as a Markdown summary, fit for the page of a workflow run. */
public final class MarkdownReport {
  /** What every such file begins with. */
  public static final String START = "## Moxie verify: ";

  private static final int FINDINGS_SHOWN = 20;
  private static final String SPECIAL = "\\`*_[]{}~|#!$@";

  private final StringJoiner lines = new StringJoiner("\n", "", "\n");

  private MarkdownReport() {}

  /** The whole summary. */
  public static String of(Report report) {
    var text = new MarkdownReport();
    text.head(report.verdict(), report.packageFolder());
    text.paragraph(escape(Words.summary(report)));
    text.list("Integrity", report.integrity().findings());
    Report.Equivalence equivalence = report.equivalence();
    if (equivalence != null) {
      text.list("Equivalence", equivalence.findings());
    }
    if (report.device() != null) {
      text.list("Refused on opening", report.device().refusals());
    }
    if (!report.references().isEmpty()) {
      text.overview(report.references());
      report.references().forEach(text::failures);
    }
    report
        .unlike()
        .forEach(one -> text.list("Another model's shape: " + one.file(), one.differences()));
    if (report.invariance() != null) {
      CheckSuite invariance = CheckSuite.of(report.packageFolder(), report.invariance());
      text.list("Failed checks of invariance", failed(invariance.checks()));
    }
    text.list("Not checked", report.notChecked());
    return text.lines.toString();
  }

  /** What is left to say when nothing could be verified. */
  public static String of(String failure) {
    var text = new MarkdownReport();
    text.lines.add(START + mark(Verdict.FAIL));
    text.paragraph(escape(failure));
    return text.lines.toString();
  }

  private void head(Verdict verdict, String folder) {
    lines.add(START + mark(verdict));
    paragraph("Package " + escape(folder));
  }

  private void overview(List<Report.Reference> references) {
    paragraph("| | Reference | Tokens | Routing | Layers | Worst layer | Logits | Greedy |");
    lines.add("|---|---|--:|---|---|---|---|---|");
    for (Report.Reference r : references) {
      lines.add(
          Figures.text(
              "| %s | %s | %,d | %s | %s | %s | %s | %s |",
              mark(r.verdict()),
              escape(r.file()),
              r.tokens(),
              routing(r.routing()),
              layers(r.layers()),
              worst(r.layers()),
              logits(r.logits()),
              greedy(r.greedy())));
    }
  }

  private static String routing(Report.Routing r) {
    return escape(
        Figures.text(
            "%,d of %,d match, %,d tie, %,d mismatch",
            r.match(), r.decisions(), r.tie(), r.mismatch()));
  }

  private static String layers(List<Report.Layer> layers) {
    long holding = layers.stream().filter(LayerErrors::hold).count();
    return Figures.text("%,d of %,d hold", holding, layers.size());
  }

  private static String worst(List<Report.Layer> layers) {
    return layers.stream()
        .reduce((a, b) -> LayerErrors.alone(b).isWorseThan(LayerErrors.alone(a)) ? b : a)
        .map(
            layer ->
                escape(
                    Figures.text(
                        "layer %d, %s of its bound",
                        layer.layer(), Figures.percent(LayerErrors.alone(layer).ratio()))))
        .orElse("none");
  }

  private static String logits(@Nullable Comparison logits) {
    return logits == null
        ? "not computed"
        : escape(Figures.percent(logits.worst().ratio()) + " of the bound");
  }

  private static String greedy(Report.@Nullable Greedy greedy) {
    if (greedy == null) {
      return "not computed";
    }
    return greedy.tokens() == 0
        ? "none recorded"
        : Figures.text(
            "%,d of %,d equal%s",
            greedy.equal(), greedy.tokens(), greedy.open() ? ", not judged" : "");
  }

  /** Diagnosis, and each check that failed. */
  private void failures(Report.Reference reference) {
    if (!reference.diagnosis().isEmpty()) {
      list("Diagnosis of " + reference.file(), reference.diagnosis());
    }
    List<Check> checks = CheckSuite.of(reference).checks();
    list("Failed checks of " + reference.file(), failed(checks.subList(1, checks.size())));
  }

  private static List<String> failed(List<Check> checks) {
    return checks.stream()
        .filter(Check::failed)
        .map(check -> check.name() + ": " + String.join("; ", check.detail()))
        .toList();
  }

  private void list(String title, List<?> items) {
    if (items.isEmpty()) {
      return;
    }
    paragraph("### " + escape(title));
    lines.add("");
    items.stream().limit(FINDINGS_SHOWN).forEach(item -> lines.add("- " + escape(item.toString())));
    if (items.size() > FINDINGS_SHOWN) {
      lines.add(Figures.text("- … and %,d more", items.size() - FINDINGS_SHOWN));
    }
  }

  private void paragraph(String text) {
    lines.add("");
    lines.add(text);
  }

  private static String mark(Verdict verdict) {
    return verdict.passed() ? "✅ pass" : "❌ FAIL";
  }

  /** One line in which nothing is taken for Markdown or HTML. */
  static String escape(String text) {
    var escaped = new StringBuilder();
    for (char c : Line.of(text).strip().toCharArray()) {
      switch (c) {
        case '<' -> escaped.append("&lt;");
        case '>' -> escaped.append("&gt;");
        case '&' -> escaped.append("&amp;");
        default -> {
          if (SPECIAL.indexOf(c) >= 0 || (escaped.isEmpty() && "-+=".indexOf(c) >= 0)) {
            escaped.append('\\');
          }
          escaped.append(c);
        }
      }
    }
    // What looks like an address would become a link.
    return escaped.toString().replace("://", "&#58;//").replace("www.", "www&#46;");
  }
}

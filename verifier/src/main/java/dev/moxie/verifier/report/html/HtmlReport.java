package dev.moxie.verifier.report.html;

import dev.moxie.converter.inspect.Inspection;
import dev.moxie.format.text.Line;
import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Finding;
import dev.moxie.verifier.report.Markup;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.report.Words;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The report as one HTML page that needs nothing else: no script, no file beside it, no network. It
 * is XML as well.
 */
public final class HtmlReport {
  private static final String DOCTYPE = "<!DOCTYPE html>\n";

  /** What every such page begins with. */
  public static final String START = DOCTYPE + "<html lang=\"en\"><head><title>moxie verify";

  private static final int FINDINGS_UNFOLDED = 10;
  private static final int FINDINGS_SHOWN = 50;

  private final Markup page = new Markup(DOCTYPE);

  private HtmlReport() {}

  /**
   * The whole page.
   *
   * @param model what was verified; null where it cannot be read
   */
  public static String of(Report report, @Nullable Inspection model) {
    var html = new HtmlReport();
    html.document(
        report.verdict(),
        report.packageFolder(),
        () -> {
          html.page.element("p", Words.summary(report), "class", "summary");
          html.diagnosis(report.references());
          html.notChecked(report.notChecked());
          if (model != null) {
            ModelSection.write(html.page, model);
          }
          html.integrity(report.integrity());
          Report.Equivalence equivalence = report.equivalence();
          if (equivalence != null) {
            html.equivalence(equivalence);
          }
          Report.Device device = report.device();
          if (device != null && device.opened()) {
            html.device(device);
          }
          html.references(report.references());
          report.unlike().forEach(html::unlike);
          Report.Invariance invariance = report.invariance();
          if (invariance != null) {
            html.invariance(invariance);
          }
        });
    return html.page.toString();
  }

  /** A page that says why there is no report. */
  public static String of(String failure) {
    var html = new HtmlReport();
    html.document(
        Verdict.FAIL,
        "nothing could be verified",
        () -> html.page.element("p", Line.of(failure), "class", "summary"));
    return html.page.toString();
  }

  private void document(Verdict verdict, String subject, Runnable body) {
    try (var _ = page.open("html", "lang", "en")) {
      try (var _ = page.open("head")) {
        page.element("title", "moxie verify: " + Words.of(verdict));
        page.empty("meta", "charset", "utf-8");
        page.empty("meta", "name", "viewport", "content", "width=device-width, initial-scale=1");
        page.element("style", style());
      }
      try (var _ = page.open("body")) {
        Symbols.define(page);
        try (var _ = page.open("main")) {
          try (var _ = page.open("header")) {
            page.element("p", "moxie verify", "class", "tool");
            try (var _ = page.open("h1")) {
              Parts.badge(page, verdict);
              page.element("span", Line.of(subject), "class", "path");
            }
          }
          body.run();
        }
      }
    }
    page.newLine();
  }

  /** What is known about why references do not agree, each sentence once. */
  private void diagnosis(List<Report.Reference> references) {
    List<String> sentences =
        references.stream()
            .filter(reference -> !reference.verdict().passed())
            .flatMap(reference -> reference.diagnosis().stream())
            .distinct()
            .toList();
    Parts.diagnosis(page, sentences, "callout bad");
  }

  /** Unfolds the first reference that fails, or the first if none does. */
  private void references(List<Report.Reference> references) {
    Verdict shown =
        Verdict.of(references.stream().allMatch(reference -> reference.verdict().passed()));
    boolean open = true;
    for (Report.Reference reference : references) {
      boolean unfolded = open && reference.verdict() == shown;
      ReferenceSection.write(page, reference, unfolded);
      open &= !unfolded;
    }
  }

  private void device(Report.Device device) {
    try (var _ = page.open("section")) {
      Parts.heading(page, "Opening", Verdict.of(device.refusals().isEmpty()));
      page.element("p", "On " + Line.of(Words.of(device)) + ".");
      Parts.list(page, device.refusals(), FINDINGS_SHOWN);
    }
  }

  private void unlike(Report.Unlike unlike) {
    try (var _ = page.open("section")) {
      Parts.heading(page, "Reference of another model's shape", unlike.verdict());
      page.element("p", Line.of(unlike.file()), "class", "path");
      Parts.list(page, unlike.differences(), FINDINGS_SHOWN);
    }
  }

  private void invariance(Report.Invariance invariance) {
    try (var _ = page.open("section")) {
      Parts.heading(page, "Invariance", invariance.verdict());
      page.element(
          "p",
          Figures.text(
              "Logits of %s, the first %,d of which rounding gives no other experts, against"
                  + " those of the same execution on the whole sequence at once.",
              Figures.of(invariance.tokens(), "token"), invariance.judged()));
      try (var table = Table.open(page, "Execution", "Change", "Max abs", "Bound", "Of bound")) {
        invariance
            .executions()
            .forEach(
                (execution, ways) ->
                    ways.forEach(
                        (way, compared) ->
                            table.row(
                                compared.verdict().passed(),
                                execution,
                                way,
                                Figures.measured(compared.maxAbs()),
                                Figures.measured(compared.bound()),
                                Figures.percent(compared.worst().ratio()))));
      }
    }
  }

  private void notChecked(List<String> items) {
    if (items.isEmpty()) {
      return;
    }
    try (var _ = page.open("section", "class", "open")) {
      page.element("h2", "Not checked");
      Parts.list(page, items, FINDINGS_SHOWN);
    }
  }

  private void integrity(Report.Integrity integrity) {
    try (var _ = page.open("section")) {
      Parts.heading(page, "Integrity", integrity.verdict());
      page.element(
          "p",
          Figures.text(
              "%s, %s, each compared with the digest that the package declares.",
              Figures.of(integrity.files(), "file"), Figures.of(integrity.bytes(), "byte")));
      findings(integrity.findings());
    }
  }

  private void equivalence(Report.Equivalence e) {
    try (var _ = page.open("section")) {
      Parts.heading(page, "Equivalence with the checkpoint", e.verdict());
      page.element("p", Line.of(e.source()), "class", "path");
      try (var counts = Counts.open(page)) {
        counts.add("source tensors", e.tensors());
        counts.add("identical", e.identical());
        counts.add("within bound", e.withinBound());
        counts.add("left out by choice", e.leftOut());
        counts.bad("different", e.different());
        counts.bad("missing", e.missing());
        counts.bad("extra", e.extra());
      }
      findings(e.findings());
    }
  }

  private void findings(List<Finding> findings) {
    if (findings.isEmpty()) {
      return;
    }
    page.element("h3", Figures.of(findings.size(), "finding"));
    Parts.list(page, findings.stream().limit(FINDINGS_UNFOLDED).toList(), FINDINGS_UNFOLDED);
    if (findings.size() > FINDINGS_UNFOLDED) {
      try (var _ = Parts.details(page, "More findings")) {
        Parts.list(page, findings.subList(FINDINGS_UNFOLDED, findings.size()), FINDINGS_SHOWN);
      }
    }
  }

  private static String style() {
    try (InputStream css = HtmlReport.class.getResourceAsStream("report.css")) {
      return new String(Objects.requireNonNull(css).readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

package dev.moxie.verifier.report;

import dev.moxie.format.text.Line;
import java.util.ArrayList;
import java.util.List;

/**
 * The report as workflow commands of GitHub Actions: an error per failed check, a warning where
 * routing is tied, degenerate or parts, and one notice with the outcome and what was not checked.
 * GitHub shows ten of each kind per step, so no more are written.
 */
public final class AnnotationReport {
  private static final int SHOWN = 10;

  private AnnotationReport() {}

  /** One command per line. */
  public static String of(Report report) {
    List<String> lines = errors(CheckSuite.of(report));
    List<String> warnings = new ArrayList<>();
    report.references().forEach(reference -> warn(reference, warnings));
    warnings.stream().limit(SHOWN).forEach(lines::add);
    String open =
        report.notChecked().isEmpty()
            ? ""
            : " Not checked: "
                + String.join("; ", report.notChecked().stream().map(Line::of).toList())
                + ".";
    lines.add(
        command(
            "notice",
            report.packageFolder(),
            "moxie verify: " + Words.of(report.verdict()),
            Words.summary(report) + open));
    return String.join("\n", lines);
  }

  /** One error, which says why there is no report. */
  public static String of(String failure) {
    return String.join("\n", errors(List.of(CheckSuite.of(failure))));
  }

  private static List<String> errors(List<CheckSuite> suites) {
    List<String> lines = new ArrayList<>();
    long failed = suites.stream().mapToLong(suite -> suite.count(Check.Outcome.FAIL)).sum();
    for (CheckSuite suite : suites) {
      for (Check check : suite.checks()) {
        if (check.failed() && lines.size() < SHOWN) {
          boolean last = lines.size() == SHOWN - 1 && failed > SHOWN;
          String more = last ? Figures.text("\n… and %,d more errors", failed - SHOWN) : "";
          lines.add(
              command(
                  "error",
                  suite.file(),
                  suite.name() + ": " + check.name(),
                  String.join("\n", check.detail()) + more));
        }
      }
    }
    return lines;
  }

  private static void warn(Report.Reference reference, List<String> warnings) {
    Report.Routing routing = reference.routing();
    if (routing.tie() > 0) {
      warnings.add(
          command(
              "warning",
              reference.file(),
              "routing ties",
              Figures.text(
                  "%,d of %,d decisions differ where rounding may decide",
                  routing.tie(), routing.decisions())));
    }
    for (Report.LayerRouting layer : reference.routingByLayer()) {
      if (layer.utilisation().collapsed() || !layer.utilisation().dead().isEmpty()) {
        warnings.add(
            command(
                "warning",
                reference.file(),
                "routing of layer " + layer.layer(),
                (layer.utilisation().collapsed() ? "collapsed: " : "")
                    + Figures.text(
                        "%.1f effective experts of %d, dead: %s",
                        layer.utilisation().effectiveExperts(),
                        layer.utilisation().counts().size(),
                        layer.utilisation().dead().isEmpty()
                            ? "none"
                            : Words.numbers(layer.utilisation().dead(), 20))));
      }
    }
  }

  private static String command(String kind, String file, String title, String message) {
    String place = file.isEmpty() ? "" : "file=" + property(file) + ",";
    return Figures.text("::%s %stitle=%s::%s", kind, place, property(title), data(message));
  }

  /** As the runner reads it: these three would end a command or start an escape. */
  private static String data(String text) {
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A");
  }

  private static String property(String text) {
    return data(Line.of(text)).replace(":", "%3A").replace(",", "%2C");
  }
}

package dev.moxie.verifier.report;

import dev.moxie.format.text.Line;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The checks of one level, or of one reference.
 *
 * @param name of the level
 * @param file what the checks are about: the package, the checkpoint or the trace
 */
record CheckSuite(String name, String file, List<Check> checks) {
  private static final int FINDINGS_SHOWN = 100;

  /** All levels that a report has, and one more for what was not checked. */
  static List<CheckSuite> of(Report report) {
    List<CheckSuite> suites = new ArrayList<>();
    Report.Integrity integrity = report.integrity();
    suites.add(
        new CheckSuite(
            "integrity",
            report.packageFolder(),
            List.of(
                Check.of(
                    "every byte against its digest",
                    integrity.verdict().passed(),
                    findings(integrity.findings())))));
    Report.Equivalence equivalence = report.equivalence();
    if (equivalence != null) {
      suites.add(
          new CheckSuite(
              "equivalence",
              report.packageFolder(),
              List.of(
                  Check.of(
                      "every tensor against the checkpoint",
                      equivalence.verdict().passed(),
                      findings(equivalence.findings())))));
    }
    if (report.device() != null && report.device().opened()) {
      suites.add(of(report.packageFolder(), report.device()));
    }
    report.references().forEach(reference -> suites.add(of(reference)));
    report.unlike().forEach(unlike -> suites.add(of(unlike)));
    if (report.invariance() != null) {
      suites.add(of(report.packageFolder(), report.invariance()));
    }
    if (!report.notChecked().isEmpty()) {
      suites.add(
          new CheckSuite(
              "not checked",
              report.packageFolder(),
              report.notChecked().stream()
                  .map(item -> Check.open(Line.of(item), "was not checked"))
                  .toList()));
    }
    return suites;
  }

  /** How many checks ended like this. */
  long count(Check.Outcome outcome) {
    return checks.stream().filter(check -> check.outcome() == outcome).count();
  }

  /** The one check that failed when nothing could be verified. */
  static CheckSuite of(String failure) {
    return new CheckSuite(
        "moxie verify", "", List.of(Check.of("reads its input", false, List.of(Line.of(failure)))));
  }

  /** The checks of one reference, first the one that all of them make up. */
  static CheckSuite of(Report.Reference reference) {
    List<Check> checks = new ArrayList<>();
    checks.add(
        Check.of(
            "all checks of this reference",
            reference.verdict().passed(),
            reference.diagnosis().stream().map(Line::of).toList()));
    checks.add(routing(reference.routing()));
    add(checks, "embedding", reference.ends().embedding());
    for (Report.Layer layer : reference.layers()) {
      checks.add(
          Check.of("layer " + layer.layer(), layer.verdict().passed(), failuresInside(layer)));
      add(checks, "layer " + layer.layer() + " from the tokens on", layer.accumulated());
    }
    add(checks, "head", reference.ends().head());
    Words.prediction(reference.ends()).forEach((name, compared) -> add(checks, name, compared));
    reference
        .executions()
        .forEach(
            (name, run) -> {
              checks.add(comparison(name + ": logits", run.logits()));
              checks.add(greedy(name + ": greedy tokens", run.greedy()));
            });
    add(checks, Words.permuted(), reference.permuted());
    return new CheckSuite(
        "reference " + Line.of(fileName(reference.file())), reference.file(), checks);
  }

  /** Whether models open. */
  static CheckSuite of(String folder, Report.Device device) {
    return new CheckSuite(
        "device " + Line.of(device.name()),
        folder,
        List.of(
            Check.of(
                "opening",
                device.refusals().isEmpty(),
                device.refusals().stream().map(Line::of).toList())));
  }

  /** What must leave logits as they are. */
  static CheckSuite of(String folder, Report.Invariance invariance) {
    List<Check> checks = new ArrayList<>();
    invariance
        .executions()
        .forEach(
            (execution, ways) ->
                ways.forEach(
                    (way, compared) -> checks.add(comparison(execution + ": " + way, compared))));
    return new CheckSuite("invariance", folder, checks);
  }

  private static CheckSuite of(Report.Unlike unlike) {
    return new CheckSuite(
        "reference " + Line.of(fileName(unlike.file())),
        unlike.file(),
        List.of(
            Check.of(
                "shape of the model",
                unlike.verdict().passed(),
                unlike.differences().stream().map(Line::of).toList())));
  }

  private static Check routing(Report.Routing routing) {
    return Check.of(
        "routing",
        routing.verdict().passed(),
        List.of(
            Figures.text(
                    "%,d of %,d decisions choose other experts, %s of the experts are in common;"
                        + " the first divergent layer is ",
                    routing.mismatch(), routing.decisions(), Figures.percent(routing.overlap()))
                + routing.firstDivergentLayer()));
  }

  private static List<String> failuresInside(Report.Layer layer) {
    return Stream.concat(
            layer.steps().entrySet().stream()
                .filter(step -> !step.getValue().verdict().passed())
                .map(step -> Line.of(step.getKey()) + ": " + Words.of(step.getValue())),
            layer.inside().stream()
                .filter(step -> !step.verdict().passed())
                .limit(1)
                .map(step -> "first wrong step inside: " + Words.of(step)))
        .toList();
  }

  /** A comparison, if it was made. */
  private static void add(List<Check> checks, String name, @Nullable Comparison comparison) {
    if (comparison != null) {
      checks.add(comparison(name, comparison));
    }
  }

  private static Check comparison(String name, Comparison comparison) {
    return Check.of(name, comparison.verdict().passed(), List.of(Words.of(comparison)));
  }

  private static Check greedy(String name, Report.Greedy greedy) {
    if (greedy.tokens() == 0) {
      return Check.open(name, "the reference records none");
    }
    return Check.of(
        name,
        greedy.verdict().passed(),
        List.of(Figures.text("%,d of %,d tokens are equal", greedy.equal(), greedy.tokens())));
  }

  private static List<String> findings(List<Finding> findings) {
    List<String> lines = new ArrayList<>();
    findings.stream().limit(FINDINGS_SHOWN).forEach(one -> lines.add(Line.of(one.toString())));
    if (findings.size() > FINDINGS_SHOWN) {
      lines.add(Figures.text("… and %,d more", findings.size() - FINDINGS_SHOWN));
    }
    return lines;
  }

  private static String fileName(String file) {
    return file.substring(1 + Math.max(file.lastIndexOf('/'), file.lastIndexOf('\\')));
  }
}

package dev.moxie.verifier.report;

import dev.moxie.format.text.Line;
import java.util.List;
import java.util.function.ToLongFunction;

/**
 * The report as JUnit XML, for continuous integration: a suite per level and reference, a case per
 * check. What was not checked is a skipped case. Times are 0, since some readers insist on one and
 * the same report is to give the same bytes.
 */
public final class JUnitReport {
  /** What every such file begins with. */
  public static final String START =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"moxie verify\"";

  private final Markup xml = new Markup("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");

  private JUnitReport() {}

  /** One document. */
  public static String of(Report report) {
    return new JUnitReport().write(CheckSuite.of(report));
  }

  /** One document, in which the one case that there is says why there is no report. */
  public static String of(String failure) {
    return new JUnitReport().write(List.of(CheckSuite.of(failure)));
  }

  private String write(List<CheckSuite> suites) {
    try (var _ =
        xml.open(
            "testsuites",
            "name",
            "moxie verify",
            "tests",
            sum(suites, suite -> suite.checks().size()),
            "failures",
            sum(suites, suite -> suite.count(Check.Outcome.FAIL)),
            "errors",
            "0",
            "time",
            "0")) {
      suites.forEach(this::suite);
      xml.newLine();
    }
    xml.newLine();
    return xml.toString();
  }

  private static String sum(List<CheckSuite> suites, ToLongFunction<CheckSuite> count) {
    return Long.toString(suites.stream().mapToLong(count).sum());
  }

  private void suite(CheckSuite suite) {
    xml.newLine();
    try (var _ =
        xml.open(
            "testsuite",
            "name",
            suite.name(),
            "tests",
            Integer.toString(suite.checks().size()),
            "failures",
            Long.toString(suite.count(Check.Outcome.FAIL)),
            "errors",
            "0",
            "skipped",
            Long.toString(suite.count(Check.Outcome.OPEN)),
            "time",
            "0")) {
      suite.checks().forEach(check -> check(suite, check));
      xml.newLine();
    }
  }

  private void check(CheckSuite suite, Check check) {
    xml.newLine();
    try (var _ =
        xml.open(
            "testcase", "classname", "moxie " + suite.name(), "name", check.name(), "time", "0")) {
      String first = check.detail().isEmpty() ? "" : check.detail().getFirst();
      switch (check.outcome()) {
        case PASS -> {}
        case OPEN -> xml.empty("skipped", "message", first);
        case FAIL ->
            xml.element(
                "failure",
                Line.of(suite.file()) + "\n" + String.join("\n", check.detail()),
                "message",
                first,
                "type",
                "mismatch");
      }
    }
  }
}

package dev.moxie.verifier.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/** JUnit XML, Markdown, annotations and text. */
class FormsTest {
  private static final Pattern COMMAND =
      Pattern.compile("::(error|warning|notice) (file=[^:,]*,)?title=[^:,]*::.*");

  private static final String UNREADABLE =
      "moxie.json: expected JSON, found " + Reports.HOSTILE + "; convert again.";

  @Test
  void junitHasACasePerCheckAndCountsThem() {
    for (Report report : List.of(Reports.passing(), Reports.failing("why"))) {
      Document document = Xml.parse(JUnitReport.of(report));
      Element root = document.getDocumentElement();
      assertEquals("testsuites", root.getTagName());
      assertCounts(root, Xml.elements(document, "testcase"), Xml.elements(document, "failure"));
      for (Element suite : Xml.elements(document, "testsuite")) {
        assertEquals(
            suite.getAttribute("tests"), "" + suite.getElementsByTagName("testcase").getLength());
        assertEquals(
            suite.getAttribute("failures"), "" + suite.getElementsByTagName("failure").getLength());
        assertEquals(
            suite.getAttribute("skipped"), "" + suite.getElementsByTagName("skipped").getLength());
      }
      assertEquals(report.verdict().passed(), Xml.elements(document, "failure").isEmpty());
    }
  }

  private static void assertCounts(Element root, List<Element> cases, List<Element> failures) {
    assertEquals(root.getAttribute("tests"), "" + cases.size());
    assertEquals(root.getAttribute("failures"), "" + failures.size());
  }

  @Test
  void junitNamesEveryCheckOfAReferenceAndTheWorstElementOfThoseThatFail() {
    Document document = Xml.parse(JUnitReport.of(Reports.failing("why")));
    List<String> names =
        Xml.elements(document, "testcase").stream().map(e -> e.getAttribute("name")).toList();
    assertEquals(
        List.of(
            "every byte against its digest",
            "every tensor against the checkpoint",
            "opening",
            "all checks of this reference",
            "routing",
            "embedding",
            "layer 0",
            "layer 0 from the tokens on",
            "head",
            "prediction 0",
            "why: logits",
            "why: greedy tokens",
            "the reference's experts in another order",
            "shape of the model",
            "plain: experts in another order",
            "why"),
        names);
    Element layer = Xml.elements(document, "testcase").get(6);
    String failure = layer.getTextContent();
    assertTrue(
        failure.contains("why: at [1, 2] 1.00007, reference 1.00000, bound 1.00e-05 (700 % of it)"),
        failure);
    assertTrue(failure.contains("first wrong step inside: why, experts 2, 5"), failure);
    assertEquals(1, Xml.elements(document, "skipped").size(), "what was not checked");
  }

  @Test
  void aReferenceThatFailsForAReasonOfItsOwnFailsInJunitToo() {
    Report.Reference r = Reports.reference("r", 1, 2, 3, 0.5);
    Report.Reference failed =
        new Report.Reference(
            Verdict.FAIL,
            r.file(),
            null,
            r.precision(),
            r.tokens(),
            r.tolerance(),
            null,
            r.routing(),
            r.routingByLayer(),
            r.ends(),
            r.layers(),
            r.logits(),
            r.greedy(),
            r.executions(),
            r.permuted(),
            List.of());
    Report report = Reports.report(Verdict.FAIL, List.of(), r, failed);
    Document document = Xml.parse(JUnitReport.of(report));
    assertEquals("0", Xml.elements(document, "testsuite").get(2).getAttribute("failures"));
    assertEquals("1", Xml.elements(document, "testsuite").get(3).getAttribute("failures"));
  }

  @Test
  void junitTakesHostileTextAsText() {
    String xml = JUnitReport.of(Reports.failing(Reports.HOSTILE));
    Document document = Xml.parse(xml);
    assertEquals(16, Xml.elements(document, "testcase").size());
    assertTrue(document.getDocumentElement().getTextContent().contains("<script>alert(1)"));
    assertTrue(Xml.elements(document, "script").isEmpty());
    assertTrue(xml.startsWith(JUnitReport.START));
  }

  @Test
  void markdownHasVerdictTableDiagnosisAndWhatIsOpen() {
    String passing = MarkdownReport.of(Reports.passing());
    assertTrue(passing.startsWith("## Moxie verify: ✅ pass\n"), passing);
    assertTrue(
        passing.contains(
            "| ✅ pass | t.safetensors | 5 | 15 of 15 match, 0 tie, 0 mismatch | 3 of 3 hold |"),
        passing);
    assertTrue(passing.contains("### Not checked\n\n- package"), passing);
    String failing = MarkdownReport.of(Reports.failing("why"));
    for (String part :
        List.of("❌ FAIL", "### Integrity", "### Equivalence", "### Diagnosis", "- layer 0: why:")) {
      assertTrue(failing.contains(part), part + " in " + failing);
    }
  }

  @Test
  void markdownTakesHostileTextAsText() {
    String markdown = MarkdownReport.of(Reports.failing(Reports.HOSTILE));
    String calm = MarkdownReport.of(Reports.failing("calm"));
    assertEquals(calm.lines().count(), markdown.lines().count(), "no line of its own");
    assertEquals(unescaped(calm, "|"), unescaped(markdown, "|"), "no cell of its own");
    for (String special : List.of("`", "<", ">", "*", "[", "]", "://", "www.")) {
      assertEquals(0, unescaped(markdown, special), special);
    }
  }

  private static long unescaped(String text, String special) {
    return Pattern.compile("(?<!\\\\)" + Pattern.quote(special)).matcher(text).results().count();
  }

  @Test
  void collapseIsAWarningWhereThereAreTokensEnoughToTell() {
    // Two of four experts are used.
    var few = Reports.reference("t", 1, 4, 3, 0.5);
    var many = Reports.reference("t", 1, 4, 40, 0.5);
    String lines = AnnotationReport.of(Reports.report(Verdict.PASS, List.of(), few));
    assertEquals(0, count(lines, "::warning "), lines);
    lines = AnnotationReport.of(Reports.report(Verdict.PASS, List.of(), many));
    assertEquals(1, count(lines, "::warning "), lines);
    assertTrue(lines.contains("::collapsed: "), lines);
  }

  @Test
  void annotationsAreOneCommandPerLineWhateverTheTextSays() {
    for (String text : List.of("calm, and: so on", Reports.HOSTILE, "a%0Ab\nc")) {
      String lines = AnnotationReport.of(Reports.failing(text));
      lines.lines().forEach(line -> assertTrue(COMMAND.matcher(line).matches(), line));
      assertEquals(
          List.of(10L, 1L, 1L),
          List.of(count(lines, "::error "), count(lines, "::warning "), count(lines, "::notice ")),
          lines);
    }
    assertTrue(
        AnnotationReport.of(Reports.failing("50% a,b:c"))
            .contains("::error file=50%25 a%2Cb%3Ac,title=integrity%3A every byte"),
        "as the runner decodes it");
    String passing = AnnotationReport.of(Reports.passing());
    assertEquals(0, count(passing, "::error "));
    assertEquals(1, count(passing, "::notice "));
  }

  @Test
  void noMoreAnnotationsThanGitHubShowsAndTheLastSaysHowManyMore() {
    Report one = Reports.failing("why");
    Report.Reference reference = one.references().getFirst();
    Report three = Reports.report(Verdict.FAIL, List.of(), reference, reference, reference);
    List<String> errors =
        AnnotationReport.of(three).lines().filter(line -> line.startsWith("::error ")).toList();
    assertEquals(10, errors.size());
    assertTrue(errors.getLast().endsWith("%0A… and 22 more errors"), errors.getLast());
  }

  private static long count(String lines, String start) {
    return lines.lines().filter(line -> line.startsWith(start)).count();
  }

  @Test
  void textHasNoLineThatItsInputBegan() {
    String text = TextReport.of(Reports.failing(Reports.HOSTILE));
    assertFalse(text.lines().anyMatch(line -> line.startsWith("::")), text);
    assertFalse(text.contains("\u001b"));
    assertEquals(TextReport.of(Reports.failing("calm")).lines().count(), text.lines().count());
  }

  @Test
  void whereThereIsNoReportEachFormSaysWhy() {
    Document junit = Xml.parse(JUnitReport.of(UNREADABLE));
    assertEquals("1", junit.getDocumentElement().getAttribute("failures"));
    assertTrue(junit.getDocumentElement().getTextContent().contains("moxie.json: expected JSON"));
    String markdown = MarkdownReport.of(UNREADABLE);
    assertTrue(markdown.startsWith(MarkdownReport.START));
    assertTrue(markdown.contains("moxie.json: expected JSON"));
    assertEquals(0, unescaped(markdown, "<"));
    String annotation = AnnotationReport.of(UNREADABLE);
    assertEquals(1, annotation.lines().count());
    assertTrue(COMMAND.matcher(annotation).matches(), annotation);
  }

  @Test
  void manyFindingsAndLongTextStayBounded() {
    var finding = new Finding("f".repeat(100_000), null, "x");
    Report report = Reports.report(Verdict.FAIL, Collections.nCopies(90_000, finding));
    for (String form :
        List.of(JUnitReport.of(report), MarkdownReport.of(report), AnnotationReport.of(report))) {
      int bytes = form.getBytes(StandardCharsets.UTF_8).length;
      assertTrue(bytes < 1_000_000, bytes + " bytes");
    }
  }
}

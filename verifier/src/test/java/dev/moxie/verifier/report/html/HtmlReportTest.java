package dev.moxie.verifier.report.html;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.inspect.Inspection;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.text.Line;
import dev.moxie.verifier.report.Finding;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Reports;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.report.Xml;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

@Isolated("It changes the default locale.")
class HtmlReportTest {
  /** HTML's elements without an end tag, and those of SVG, which may end in themselves. */
  private static final Set<String> MAY_END_IN_THEMSELVES =
      Set.of("meta", "path", "circle", "rect", "line", "polyline", "use");

  @Test
  void aPassingPageSaysSoAndShowsEveryChart() {
    String page = HtmlReport.of(Reports.passing(), null);
    String text = Xml.parse(page).getDocumentElement().getTextContent();
    assertTrue(page.startsWith(HtmlReport.START));
    assertFalse(text.contains("FAIL"));
    for (String part :
        List.of(
            "✓ pass",
            "Everything that was checked holds.",
            "Not checked",
            "Integrity",
            "Equivalence",
            "Error by layer",
            "Routing agreement",
            "Margins",
            "Expert utilisation",
            "Effective experts",
            "Greedy tokens",
            "Tolerance: a rule")) {
      assertTrue(text.contains(part), part);
    }
    assertFalse(text.contains("Diagnosis"), "there is nothing to diagnose");
    assertEquals(0, ofClass(Xml.parse(page), "failed").size() - 1, "only the legend's");
  }

  @Test
  void whatTheModelCostsIsShown() {
    Inspection model =
        Inspection.of(Fixtures.root().resolve("configs/mixtral-8x7b.json"), Set.of());
    String text =
        Xml.parse(HtmlReport.of(Reports.passing(), model)).getDocumentElement().getTextContent();
    // "Mixtral of Experts" (2024): 47B parameters, of which a token uses 13B.
    for (String part : List.of("46.7 B", "12.9 B", "28 %", "routed experts", "bf1687.0 GiB")) {
      assertTrue(text.contains(part), part);
    }
    List<String> forms =
        Xml.elements(Xml.parse(HtmlReport.of(Reports.passing(), model)), "tr").stream()
            .map(Element::getTextContent)
            .filter(row -> row.startsWith("--"))
            .toList();
    assertTrue(forms.getFirst().startsWith("--dtype bf1687.0 GiB–––––"), "not in up to 80 GiB");
    assertFalse(forms.getFirst().endsWith("–"), "but in 192");
    assertTrue(forms.stream().anyMatch(row -> row.matches("--quantize int4 .*GiB–––[\\d,]+")));
  }

  @Test
  void aFailingPageLeadsWithVerdictAndDiagnosisAndShowsWhatFails() {
    Document page = Xml.parse(HtmlReport.of(Reports.failing("because of this"), null));
    String text = page.getDocumentElement().getTextContent();
    assertTrue(text.indexOf("✗ FAIL") < text.indexOf("Something that was checked does not hold."));
    assertTrue(text.indexOf("Diagnosis") < text.indexOf("Integrity"));
    for (String part : List.of("Inside layer 0", "2, 5", "MISMATCH", "tie", "1.50", "1 finding")) {
      assertTrue(text.contains(part), part);
    }
    assertEquals(1 + 2, ofClass(page, "failed").size(), "legend, layer alone, and accumulated");
    for (String kind : List.of("match", "tie", "mismatch", "mark slash", "mark cross")) {
      assertFalse(ofClass(page, kind).isEmpty(), kind);
    }
  }

  @Test
  void hostileTextStaysText() {
    String page = HtmlReport.of(Reports.failing(Reports.HOSTILE), null);
    Document parsed = Xml.parse(page);
    assertTrue(
        parsed.getDocumentElement().getTextContent().contains(Line.of(Reports.HOSTILE)),
        "it is shown");
    Set<String> calm =
        Xml.elements(Xml.parse(HtmlReport.of(Reports.failing("calm"), null)), "*").stream()
            .map(Element::getTagName)
            .collect(Collectors.toSet());
    for (Element element : Xml.elements(parsed, "*")) {
      assertTrue(calm.contains(element.getTagName()), element.getTagName());
    }
    assertFalse(page.contains("<script"));
    assertFalse(page.contains("<img"));
    assertFalse(page.contains("<!--"));
    assertEquals(page.indexOf("</style>"), page.lastIndexOf("</style>"));
  }

  @Test
  void nothingIsLoadedFromAnywhereAndNothingRuns() {
    Document page = Xml.parse(HtmlReport.of(Reports.failing("x"), null));
    for (Element element : Xml.elements(page, "*")) {
      for (int i = 0; i < element.getAttributes().getLength(); i++) {
        Node attribute = element.getAttributes().item(i);
        String name = attribute.getNodeName();
        assertFalse(name.startsWith("on"), name);
        assertFalse(name.equals("src"), name);
        assertFalse(name.equals("href") && !attribute.getNodeValue().startsWith("#"), name);
        assertFalse(attribute.getNodeValue().contains("//"), attribute.getNodeValue());
      }
    }
    String style = Xml.elements(page, "style").getFirst().getTextContent();
    for (String loading : List.of("url(", "@import", "//", "<", ">", "&")) {
      assertFalse(style.contains(loading), loading);
    }
  }

  @Test
  void isHtmlToo() {
    String page = HtmlReport.of(Reports.failing("x"), null);
    page.lines()
        .flatMap(line -> Pattern.compile("<(\\w+)[^>]*/>").matcher(line).results())
        .forEach(tag -> assertTrue(MAY_END_IN_THEMSELVES.contains(tag.group(1)), tag.group()));
    assertTrue(page.contains("<meta charset=\"utf-8\"/>"));
    assertTrue(page.indexOf("charset") < 1024, "where browsers look for it");
  }

  @Test
  void theSameReportGivesTheSameBytesWhereverTheUserLives() {
    String here = HtmlReport.of(Reports.failing("x"), null);
    Locale before = Locale.getDefault();
    try {
      for (String locale : List.of("de-DE", "tr-TR", "ar-EG-u-nu-arab", "fa-IR")) {
        Locale.setDefault(Locale.forLanguageTag(locale));
        assertEquals(here, HtmlReport.of(Reports.failing("x"), null), locale);
      }
    } finally {
      Locale.setDefault(before);
    }
  }

  @Test
  void aHugeReportIsASmallPageThatSaysWhatItLeavesOut() {
    List<Report.LayerRouting> routing =
        IntStream.range(0, 61)
            .mapToObj(i -> Reports.layerRouting(i, 256, "MXTMMMMXMT".repeat(500)))
            .toList();
    List<Finding> findings = Collections.nCopies(90_000, new Finding("file", "tensor", "differs"));
    Report report =
        Reports.report(
            Verdict.FAIL,
            findings,
            Reports.withRouting(Reports.reference("r", 61, 256, 5000, 0.3), routing));
    String page = HtmlReport.of(report, null);
    int bytes = page.getBytes(StandardCharsets.UTF_8).length;
    assertTrue(bytes < 1_500_000, bytes + " bytes");
    String text = Xml.parse(page).getDocumentElement().getTextContent();
    assertTrue(text.contains("Each column stands for 21 neighbouring tokens of 5,000"), text);
    assertTrue(text.contains("… and 89,940 more"));
  }

  @Test
  void moreLayersThanAPageHasRoomForAreCutAndItSaysSo() {
    Report report =
        Reports.report(Verdict.PASS, List.of(), Reports.reference("r", 5000, 2, 2, 0.3));
    String page = HtmlReport.of(report, null);
    assertTrue(page.length() < 1_000_000, page.length() + " characters");
    assertTrue(page.contains("Only the first 200 of 5,000 layers are drawn."));
    assertTrue(page.contains("… and 4,800 more layers"));
  }

  @Test
  void oneWrongDecisionAmongThousandsIsDrawn() {
    String right = "M".repeat(5000);
    Report.Reference reference = Reports.reference("r", 2, 8, 5000, 0.3);
    Document without =
        page(
            Reports.withRouting(
                reference,
                List.of(Reports.layerRouting(0, 8, right), Reports.layerRouting(1, 8, right))));
    Document with =
        page(
            Reports.withRouting(
                reference,
                List.of(
                    Reports.layerRouting(0, 8, right),
                    Reports.layerRouting(1, 8, right.substring(1) + "X"))));
    assertEquals(1, ofClass(without, "mismatch").size(), "the legend's");
    assertEquals(
        List.of("M0 0h1v1h-1z", "M238 1h1v1h-1z"),
        ofClass(with, "mismatch").stream().map(path -> path.getAttribute("d")).toList());
  }

  @Test
  void aPageWithoutReferencesOrSourceIsWhole() {
    Report full = Reports.passing();
    Report bare =
        new Report(
            Verdict.PASS,
            "p",
            null,
            full.integrity(),
            null,
            List.of(),
            List.of(),
            null,
            full.notChecked());
    String text = Xml.parse(HtmlReport.of(bare, null)).getDocumentElement().getTextContent();
    assertFalse(text.contains("Reference"));
    assertFalse(text.contains("Equivalence"));
    assertFalse(text.contains("Invariance"));
  }

  @Test
  void aModelWithoutExpertsHasNoRoutingCharts() {
    Report.Reference dense = Reports.withRouting(Reports.reference("r", 2, 4, 3, 0.5), List.of());
    String text = page(dense).getDocumentElement().getTextContent();
    assertFalse(text.contains("Routing agreement"));
    assertTrue(text.contains("Error by layer"));
  }

  @Test
  void errorsOfAnySizeHaveAPlace() {
    for (double ratio :
        new double[] {0, Double.MIN_VALUE, 1e-30, 1, 1e30, Double.POSITIVE_INFINITY, Double.NaN}) {
      Document page = page(Reports.reference("r", 3, 4, 5, ratio));
      for (Element point : Xml.elements(page, "circle")) {
        if (point.hasAttribute("cy")) {
          double y = Double.parseDouble(point.getAttribute("cy"));
          assertTrue(y >= 0 && y <= 220, ratio + " at " + y);
        }
      }
    }
  }

  @Test
  void withoutAReportThePageSaysWhy() {
    String page = HtmlReport.of("config.json: expected a known key, found <b>; ignore it.");
    String text = Xml.parse(page).getDocumentElement().getTextContent();
    assertTrue(text.contains("✗ FAIL"));
    assertTrue(text.contains("config.json: expected a known key, found <b>; ignore it."));
  }

  private static Document page(Report.Reference reference) {
    return Xml.parse(HtmlReport.of(Reports.report(Verdict.PASS, List.of(), reference), null));
  }

  private static List<Element> ofClass(Document page, String kind) {
    return Xml.elements(page, "*").stream()
        .filter(element -> element.getAttribute("class").equals(kind))
        .toList();
  }
}

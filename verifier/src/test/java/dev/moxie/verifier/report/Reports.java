package dev.moxie.verifier.report;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.execution.Utilisation;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Reports made up for tests. */
public final class Reports {
  /** Text that would break out of every form of a report that takes it as it is. */
  public static final String HOSTILE =
      "</style></svg><script>alert(1)</script><img src=x onerror=alert(2)>\"'&lt;"
          + "\n::error::gotcha\r\n## [x](javascript:alert(3)) | `a` | %0A::notice::b"
          + "\u0000\u001b[2J\u2028\u202e\ud800]]>--> <!-- http://evil.example/ www.evil.example";

  private Reports() {}

  /** One in which everything holds. */
  public static Report passing() {
    return report(Verdict.PASS, List.of(), reference("t.safetensors", 3, 4, 5, 0.1));
  }

  /** One in which each level has failed, with this text wherever there is text. */
  public static Report failing(String text) {
    Report report =
        report(Verdict.FAIL, List.of(new Finding(text, text, text)), failingReference(text));
    return new Report(
        report.verdict(),
        report.packageFolder(),
        new Report.Device(text, Dtype.F16, true, List.of(text)),
        report.integrity(),
        report.equivalence(),
        report.references(),
        List.of(new Report.Unlike(Verdict.FAIL, text, text, List.of(text))),
        invariance(comparison(7)),
        report.notChecked());
  }

  /** A report of these references, whose levels have these findings. */
  public static Report report(
      Verdict verdict, List<Finding> findings, Report.Reference... references) {
    String text = findings.isEmpty() ? "package" : findings.getFirst().file();
    return new Report(
        verdict,
        text,
        new Report.Device("CPU", Dtype.F32, false, List.of()),
        new Report.Integrity(verdict, 3, 1_000, findings),
        new Report.Equivalence(
            verdict, text, 9 + findings.size(), 9, 0, findings.size(), 0, 0, 0, findings),
        List.of(references),
        List.of(),
        invariance(comparison(0.5)),
        List.of(text));
  }

  private static Report.Invariance invariance(Comparison compared) {
    return new Report.Invariance(
        compared.verdict(), 3, 2, Map.of("plain", Map.of("experts in another order", compared)));
  }

  private static Report.Reference failingReference(String text) {
    Comparison bad = comparison(7);
    Comparison none = comparison(Double.NaN);
    var step = new Report.Step(text, Verdict.FAIL, bad, List.of(2, 5));
    var selection = new Report.Step("selection", Verdict.PASS, null, List.of());
    Report.Layer layer =
        new Report.Layer(
            0,
            bad.maxAbs(),
            bad.maxRel(),
            bad.bound(),
            Verdict.FAIL,
            bad.worst(),
            Map.of(text, bad),
            none,
            text,
            List.of(selection, step));
    var routing = new Report.Routing(Verdict.FAIL, 3, 1, 1, 1, 0.5, 2, 0, 0.0);
    List<@Nullable Double> margins = new ArrayList<>();
    margins.add(0.25);
    margins.add(0.0);
    margins.add(null);
    Utilisation use = Utilisation.of(new long[] {3, 3, 0, 0}, 3, 2);
    var greedy = new Report.Greedy(Verdict.FAIL, 4, 1, false);
    return new Report.Reference(
        Verdict.FAIL,
        text,
        text,
        Dtype.F32,
        3,
        text,
        new Report.Noise(text, Map.of(text, 1.5)),
        routing,
        List.of(new Report.LayerRouting(0, 1, 1, 1, 0.5, "MTX", margins, List.of(1), use)),
        new Report.Ends(bad, bad, List.of(bad)),
        List.of(layer),
        bad,
        greedy,
        Map.of(text, new Report.EndToEnd(bad, new Divergence(3, 1, 1, 2, 2, 0, 0.5), greedy)),
        bad,
        List.of(text));
  }

  /**
   * A reference that holds.
   *
   * @param ratio how near each layer comes to its bound
   */
  public static Report.Reference reference(
      String file, int layers, int experts, int tokens, double ratio) {
    List<Report.LayerRouting> routing = new ArrayList<>();
    List<Report.Layer> compared = new ArrayList<>();
    Comparison good = comparison(ratio);
    for (int i = 0; i < layers; i++) {
      routing.add(layerRouting(i, experts, "M".repeat(tokens)));
      Map<String, Comparison> steps = new LinkedHashMap<>();
      for (String step : List.of("moe.input", "router.logits", "experts.output", "output")) {
        steps.put("layers." + i + "." + step, good);
      }
      compared.add(
          new Report.Layer(
              i,
              good.maxAbs(),
              good.maxRel(),
              good.bound(),
              Verdict.PASS,
              good.worst(),
              steps,
              good,
              "both",
              List.of()));
    }
    int decisions = layers * tokens;
    var greedy = new Report.Greedy(Verdict.PASS, 4, 4, false);
    return new Report.Reference(
        Verdict.PASS,
        file,
        "another",
        Dtype.F32,
        tokens,
        "a rule",
        null,
        new Report.Routing(Verdict.PASS, decisions, decisions, 0, 0, 1, 0, null, 0.1),
        routing,
        new Report.Ends(good, good, List.of(good)),
        compared,
        good,
        greedy,
        Map.of(
            "plain", new Report.EndToEnd(good, new Divergence(tokens, 0, 0, 0, 0, 0, 1), greedy)),
        good,
        List.of());
  }

  /** The same reference with other routing. */
  public static Report.Reference withRouting(
      Report.Reference r, List<Report.LayerRouting> routing) {
    return new Report.Reference(
        r.verdict(),
        r.file(),
        r.producer(),
        r.precision(),
        r.tokens(),
        r.tolerance(),
        r.noise(),
        r.routing(),
        routing,
        r.ends(),
        r.layers(),
        r.logits(),
        r.greedy(),
        r.executions(),
        r.permuted(),
        r.diagnosis());
  }

  /** A layer with these decisions, margins over many decades, and every third expert unused. */
  public static Report.LayerRouting layerRouting(int layer, int experts, String decisions) {
    List<@Nullable Double> margins = new ArrayList<>();
    for (int t = 0; t < decisions.length(); t++) {
      margins.add(Math.pow(10, -(t % 9)));
    }
    long[] counts = new long[experts];
    for (int i = 0; i < 2 * decisions.length(); i++) {
      int expert = (i * 7 + layer) % experts;
      counts[expert - expert % 3]++;
    }
    return new Report.LayerRouting(
        layer,
        count(decisions, 'M'),
        count(decisions, 'T'),
        count(decisions, 'X'),
        1,
        decisions,
        margins,
        List.of(),
        Utilisation.of(counts, decisions.length(), 2));
  }

  private static int count(String decisions, char verdict) {
    return Math.toIntExact(decisions.chars().filter(c -> c == verdict).count());
  }

  /** A comparison whose worst element is that near to its bound. */
  public static Comparison comparison(double ratio) {
    double bound = 1e-5;
    return new Comparison(
        ratio * bound,
        ratio * bound,
        bound,
        true,
        Verdict.of(ratio <= 1),
        new Comparison.Element(1, 2, 1 + ratio * bound, 1, bound));
  }
}

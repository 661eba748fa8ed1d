package dev.moxie.verifier.baseline;

import dev.moxie.format.text.Lines;
import java.util.Locale;

/** A baseline's report as lines for a person. */
public final class BaselineText {
  private static final int DRIFTS_SHOWN = 20;

  private final Lines lines = new Lines();

  private BaselineText() {}

  /** All lines. */
  public static String of(BaselineReport report) {
    var text = new BaselineText();
    text.head(report);
    report.drifts().stream().limit(DRIFTS_SHOWN).forEach(text::drift);
    if (report.drifts().size() > DRIFTS_SHOWN) {
      text.lines.add("  … and %d more", report.drifts().size() - DRIFTS_SHOWN);
    }
    if (report.diagnosis() != null) {
      text.lines.add("  diagnosis  %s", report.diagnosis());
    }
    report.notCompared().forEach(item -> text.lines.add("not checked  %s", item));
    text.lines.add(
        "verdict      %s  %s",
        report.verdict().passed() ? "pass" : "DRIFT", report.packageFolder());
    return text.lines.toString();
  }

  private void head(BaselineReport r) {
    lines.add(
        "baseline     %s, recorded by %s %s: %d sequences, %d tokens, %s",
        r.file(),
        r.recordedBy().name(),
        r.recordedBy().version(),
        r.sequences(),
        r.tokens(),
        r.execution());
    lines.add(
        "  package    %s",
        r.samePackage() ? "the recorded one" : "another than the recorded one, of the same shape");
    lines.add(
        "  compared   %d matrices, %d of them identical to the bit; %d routing decisions, %d of"
            + " them ties; nearest %.0f %% of its bound",
        r.matrices(), r.identical(), r.decisions(), r.ties(), 100 * r.nearest());
    lines.add("  tolerance  %s", r.tolerance());
  }

  private void drift(BaselineReport.Drift d) {
    lines.add(
        "  DRIFT      %s, sequence %d%s: %d of %d numbers; %s: recorded %s, computed %s%s",
        d.place(),
        d.sequence(),
        tokens(d),
        d.numbers(),
        d.compared(),
        d.what(),
        d.recorded(),
        d.computed(),
        d.bound() == null ? "" : String.format(Locale.ROOT, ", bound %.2e", d.bound()));
  }

  private static String tokens(BaselineReport.Drift d) {
    if (d.tokens().isEmpty()) {
      return "";
    }
    return d.tokens().size() == 1
        ? ", token " + d.tokens().getFirst()
        : ", %d tokens from %d".formatted(d.tokens().size(), d.tokens().getFirst());
  }
}

package dev.moxie.verifier.eval;

import dev.moxie.format.text.Lines;
import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Words;
import dev.moxie.verifier.routing.Corpus;
import dev.moxie.verifier.routing.FlipsText;

/** An evaluation as lines for a person. */
final class EvalText {
  private final Lines lines = new Lines();

  private EvalText() {}

  static String of(EvalReport report) {
    var text = new EvalText();
    text.read(report);
    text.likelihood(report.packageFolder(), report.likelihood());
    EvalReport.Against against = report.against();
    if (against != null) {
      text.likelihood(against.packageFolder(), against.likelihood());
      text.against(against);
    }
    for (EvalReport.Limit limit : report.limits()) {
      text.lines.add(
          "limit        %s  %s %s, limit %s",
          Words.of(limit.verdict()),
          limit.name(),
          Figures.number(limit.found()),
          Figures.number(limit.limit()));
    }
    report.notCompared().forEach(item -> text.lines.add("not compared %s", item));
    if (report.verdict() != null) {
      text.lines.add("verdict      %s  %s", Words.of(report.verdict()), report.packageFolder());
    }
    return text.lines.toString();
  }

  private void read(EvalReport report) {
    for (Corpus.Source source : report.sources()) {
      lines.add(
          "text         %s: %s, together of %s",
          source.name(),
          Figures.of(source.sequences(), "window"),
          Figures.of(source.tokens(), "token"));
    }
    lines.add(
        "scored       %s, each once: in windows of %d, %d further each, after at least %d others"
            + " but in a text's first window; on %s",
        Figures.of(report.scored(), "token"),
        report.context(),
        report.stride(),
        report.leastContext(),
        report.device());
  }

  private void likelihood(String folder, Likelihood likelihood) {
    Double error = likelihood.standardError();
    lines.add(
        "perplexity   %s%s  %s",
        Figures.number(likelihood.perplexity()),
        error == null ? "" : " ± " + Figures.text("%.2g", likelihood.perplexity() * error),
        folder);
  }

  private void against(EvalReport.Against against) {
    Double error = against.ratioError();
    lines.add(
        "  ratio      %s%s",
        Figures.number(against.perplexityRatio()),
        error == null ? "" : " ± " + Figures.text("%.2g", against.perplexityRatio() * error));
    lines.add("  divergence %s", Words.of(against.divergence()));
    lines.add(
        "             worst at token %d of %s", against.worst().token(), against.worst().source());
    FlipsText.add(lines, against.routing());
  }
}

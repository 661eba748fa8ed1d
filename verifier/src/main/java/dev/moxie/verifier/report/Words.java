package dev.moxie.verifier.report;

import dev.moxie.format.text.Line;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/** What a report says, in sentences: the same in every form of it. */
public final class Words {
  private Words() {}

  /** A verdict. */
  public static String of(Verdict verdict) {
    return verdict.passed() ? "pass" : "FAIL";
  }

  /** Where a comparison is nearest to its bound, or furthest beyond. */
  public static String of(Comparison comparison) {
    Comparison.Element worst = comparison.worst();
    return Figures.text(
        "at [%d, %d] %.6g, reference %.6g, bound %.2e (%s of it)%s",
        worst.token(),
        worst.index(),
        worst.actual(),
        worst.expected(),
        worst.bound(),
        Figures.percent(worst.ratio()),
        comparison.telling() ? "" : "; bounds are as large as the values, which shows nothing");
  }

  /** How far predictions are apart. */
  public static String of(Divergence d) {
    return Figures.text(
        "KL mean %.2e, median %.2e, of 99 %% at most %.2e, worst %.2e nats; likeliest token the"
            + " same at %.2f %% of %s",
        d.mean(),
        d.median(),
        d.p99(),
        d.worst(),
        100 * d.agreement(),
        Figures.of(d.tokens(), "token"));
  }

  /** Where numbers were computed, and in what. */
  public static String of(Report.Device device) {
    return device.name() + ", which computes in " + device.compute();
  }

  /** A step inside a layer. */
  public static String of(Report.Step step) {
    Comparison comparison = step.comparison();
    return Line.of(step.name())
        + (step.experts().isEmpty() ? "" : ", experts " + numbers(step.experts(), 20))
        + (comparison == null ? "" : ", " + of(comparison));
  }

  /** Some numbers of a list, and how many there are. */
  public static String numbers(List<Integer> numbers, int shown) {
    String first =
        numbers.stream().limit(shown).map(String::valueOf).collect(Collectors.joining(", "));
    return numbers.size() > shown ? first + ", … (" + numbers.size() + ")" : first;
  }

  /** What a trace's own permutation is called. */
  public static String permuted() {
    return "the reference's experts in another order";
  }

  /** What was compared of prediction layers, by what each is called. */
  public static Map<String, Comparison> prediction(Report.Ends ends) {
    Map<String, Comparison> named = new LinkedHashMap<>();
    for (int i = 0; i < ends.prediction().size(); i++) {
      named.put("prediction " + i, ends.prediction().get(i));
    }
    return named;
  }

  /** The whole report in one paragraph. */
  public static String summary(Report report) {
    List<String> sentences = new ArrayList<>();
    sentences.add(
        report.verdict().passed()
            ? "Everything that was checked holds."
            : "Something that was checked does not hold.");
    sentences.add(integrity(report.integrity()));
    Report.Equivalence equivalence = report.equivalence();
    if (equivalence != null) {
      sentences.add(equivalence(equivalence));
    }
    if (report.device() != null) {
      sentences.add(device(report.device()));
    }
    if (!report.references().isEmpty()) {
      sentences.add(references(report.references()));
    }
    Report.Invariance invariance = report.invariance();
    if (invariance != null) {
      sentences.add(invariance(invariance));
    }
    if (!report.unlike().isEmpty()) {
      sentences.add(
          "Not of a model of this shape: " + Figures.of(report.unlike().size(), "reference") + ".");
    }
    return String.join(" ", sentences);
  }

  private static String device(Report.Device device) {
    return "Numbers are those of %s%s."
        .formatted(
            Line.of(of(device)),
            device.refusals().isEmpty() ? "" : "; it would not open such a model");
  }

  private static String integrity(Report.Integrity integrity) {
    return integrity.verdict().passed()
        ? Figures.text(
            "Every byte of %s (%s) matches its digest.",
            Figures.of(integrity.files(), "file"), Figures.of(integrity.bytes(), "byte"))
        : Figures.text(
            "The package is damaged: %s in %s.",
            Figures.of(integrity.findings().size(), "finding"),
            Figures.of(integrity.files(), "file"));
  }

  private static String equivalence(Report.Equivalence e) {
    return e.verdict().passed()
        ? Figures.text(
            "%s of the checkpoint: %,d identical, %,d converted as declared, %,d left out by"
                + " choice.",
            Figures.of(e.tensors(), "tensor"), e.identical(), e.withinBound(), e.leftOut())
        : Figures.text(
            "It is not the checkpoint: %s; of %s, %,d are different and %,d missing, %,d are"
                + " extra.",
            Figures.of(e.findings().size(), "finding"),
            Figures.of(e.tensors(), "tensor"),
            e.different(),
            e.missing(),
            e.extra());
  }

  private static String invariance(Report.Invariance i) {
    List<Comparison> all =
        i.executions().values().stream().flatMap(ways -> ways.values().stream()).toList();
    long holding = all.stream().filter(one -> one.verdict().passed()).count();
    return Figures.text(
        "%,d of %s of what must not matter left logits as they were, of %,d of %s.",
        holding, Figures.of(all.size(), "change"), i.judged(), Figures.of(i.tokens(), "token"));
  }

  private static String references(List<Report.Reference> references) {
    long agreeing = references.stream().filter(one -> one.verdict().passed()).count();
    long tokens = references.stream().mapToLong(Report.Reference::tokens).sum();
    long decisions = references.stream().mapToLong(one -> one.routing().decisions()).sum();
    long match = references.stream().mapToLong(one -> one.routing().match()).sum();
    long layers = references.stream().mapToLong(one -> one.layers().size()).sum();
    long holding =
        references.stream().flatMap(one -> one.layers().stream()).filter(LayerErrors::hold).count();
    List<Report.Greedy> continued =
        references.stream().map(Report.Reference::greedy).filter(Objects::nonNull).toList();
    long greedy = continued.stream().mapToLong(Report.Greedy::tokens).sum();
    long equal = continued.stream().mapToLong(Report.Greedy::equal).sum();
    return Figures.text(
        "%,d of %s (%s) agree: %,d of %,d routing decisions are the same, %,d of %,d layers"
            + " within their bounds, %,d of %,d greedy tokens equal.",
        agreeing,
        Figures.of(references.size(), "reference"),
        Figures.of(tokens, "token"),
        match,
        decisions,
        holding,
        layers,
        equal,
        greedy);
  }
}

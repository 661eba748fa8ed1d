package dev.moxie.verifier.diagnosis;

import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Report;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;

/** What may be wrong with embedding, final norm and head. */
final class EndSuspects {
  private static final String EMBEDDING = "embedding.weight";
  private static final String HEAD = "head.weight";
  private static final String FINAL_NORM = "final_norm.weight";

  private final Evidence evidence;

  EndSuspects(Evidence evidence) {
    this.evidence = evidence;
  }

  /** A sentence for each end that differs and can be explained. */
  List<String> explain(Report.Ends ends) {
    List<String> sentences = new ArrayList<>();
    if (!ends.embedding().verdict().passed()) {
      first(embedding(), this::embeddingFits)
          .ifPresent(cause -> sentences.add(sentence(cause, "embeddings")));
    }
    if (!ends.head().verdict().passed()) {
      first(head(), this::headFits).ifPresent(cause -> sentences.add(sentence(cause, "logits")));
    }
    return sentences;
  }

  private static String sentence(Suspect suspect, String what) {
    return "Looks like %s: without that, the reference's %s come out."
        .formatted(suspect.cause(), what);
  }

  private static Optional<Suspect> first(
      Stream<Suspect> suspects, java.util.function.Predicate<Suspect> fits) {
    return suspects.filter(fits).findFirst();
  }

  private boolean embeddingFits(Suspect suspect) {
    Estimate actual = evidence.oracle(suspect).embed(evidence.trace().inputIds());
    return Tolerance.compare(actual.toFloats(), evidence.recorded(0, "input"), actual)
        .verdict()
        .passed();
  }

  private boolean headFits(Suspect suspect) {
    Estimate actual = headOf(evidence.oracle(suspect));
    return Tolerance.compare(actual.toFloats(), logits().toFloats(), actual).verdict().passed();
  }

  private Estimate headOf(Oracle oracle) {
    return oracle.head(evidence.given(last(), "output"));
  }

  private Estimate logits() {
    int vocabulary = evidence.architecture().vocabSize();
    return Estimate.exact(
        evidence.trace().floats("logits", evidence.tokens(), vocabulary), vocabulary);
  }

  private int last() {
    return evidence.architecture().layers().size() - 1;
  }

  private Stream<Suspect> embedding() {
    int vocabulary = evidence.architecture().vocabSize();
    List<Suspect> suspects = new ArrayList<>(swapped());
    Estimate actual = evidence.oracle().embed(evidence.trace().inputIds());
    double factor = Difference.quotient(actual, evidence.given(0, "input"));
    Suspect.factor("embedding", EMBEDDING, factor, evidence).forEach(suspects::add);
    for (int shift : new int[] {1, -1}) {
      suspects.add(
          Suspect.of(
              "rows of the embedding moved " + (shift > 0 ? "on" : "back") + " by one",
              evidence,
              reordered(EMBEDDING, vocabulary, shift)));
    }
    return suspects.stream();
  }

  private Stream<Suspect> head() {
    int vocabulary = evidence.architecture().vocabSize();
    List<Suspect> suspects = new ArrayList<>(swapped());
    new Mistakes(evidence.architecture(), last(), evidence.tokens())
        .ofModel().stream()
            .map(mistake -> Suspect.of(mistake.cause(), evidence, mistake.right()))
            .forEach(suspects::add);
    Estimate actual = headOf(evidence.oracle());
    Suspect.factor("head", HEAD, Difference.quotient(actual, logits()), evidence)
        .forEach(suspects::add);
    Columns.moved(actual, logits())
        .ifPresent(
            sources ->
                suspects.add(
                    Suspect.of(
                        new Assignment("rows of the head", sources, vocabulary).words(),
                        evidence,
                        (row, stored) ->
                            row.name().equals(HEAD)
                                ? stored
                                    .get(row)
                                    .reordered(r -> Objects.requireNonNull(sources.get(r)))
                                : stored.get(row))));
    for (String norm : List.of("attention_norm", "feed_forward_norm")) {
      String name = "layers." + last() + "." + norm + ".weight";
      suspects.add(
          Suspect.of(
              "final norm and " + name + " confused",
              evidence,
              (row, stored) ->
                  stored.get(row.name().equals(FINAL_NORM) ? evidence.pack().tensor(name) : row)));
    }
    return suspects.stream();
  }

  /** Embedding and head in each other's place, where there are both. */
  private List<Suspect> swapped() {
    return evidence.architecture().tiedEmbeddings()
        ? List.of()
        : List.of(
            Suspect.of(
                "embedding and head confused",
                evidence,
                (row, stored) ->
                    stored.get(
                        row.name().equals(EMBEDDING)
                            ? evidence.pack().tensor(HEAD)
                            : row.name().equals(HEAD) ? evidence.pack().tensor(EMBEDDING) : row)));
  }

  private static Weights.Supposition reordered(String name, int rows, int shift) {
    return (row, stored) ->
        row.name().equals(name)
            ? stored.get(row).reordered(r -> Math.floorMod(r + shift, rows))
            : stored.get(row);
  }
}

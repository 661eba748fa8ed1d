package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Step;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.verifier.oracle.Forced;
import dev.moxie.verifier.oracle.Forced.Stage;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.DoubleFunction;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * What may be wrong where a stage of a layer fails, the cheapest first: numbers and vectors are
 * searched for when it comes to them.
 */
final class Suspects {
  private final Evidence evidence;
  private final int layer;
  private final Forced own;
  private final Mistakes mistakes;
  private final Exchanges exchanges;
  private final Stacks stacks;

  Suspects(Evidence evidence, int layer) {
    this.evidence = evidence;
    this.layer = layer;
    this.own = evidence.layer(layer);
    this.mistakes = new Mistakes(evidence.architecture(), layer, evidence.tokens());
    this.exchanges = new Exchanges(evidence, layer);
    this.stacks = new Stacks(evidence, layer);
  }

  /**
   * Of one stage.
   *
   * @param wrong experts that no token clears, if it is theirs
   */
  Stream<Suspect> of(Stage stage, List<Integer> wrong) {
    return switch (stage) {
      case EMBEDDING ->
          lazily(
              exchanges::ends,
              () -> factor("embedding", Exchanges.EMBEDDING, quotient(stage)),
              exchanges::movedEmbedding);
      case ATTENTION ->
          lazily(
              exchanges::norms,
              () -> stacks.scales(".attention."),
              () -> attention(stage),
              () -> scaled("attention", stage));
      case NORM ->
          lazily(
              exchanges::norms,
              () -> supposed(mistakes.ofModel()),
              () -> fitted(stage, List.of(mistakes.epsilon())));
      case ROUTER ->
          lazily(
              () -> moved("router rows", "layers." + layer + ".router.weight", stage),
              () -> factor("router", "layers." + layer + ".router.weight", quotient(stage)),
              () -> supposed(mistakes.ofExperts()),
              () -> exchanges.misplaced("router"),
              () -> missing(mistakes.missingInExperts(), stage));
      case SELECTION, WEIGHTS -> Stream.of();
      case EXPERTS ->
          lazily(
              () -> new ExpertSuspects(evidence, layer).explain(wrong),
              () -> stacks.scales(".experts."),
              stacks::experts,
              () -> supposed(mistakes.ofExperts()),
              () -> fitted(stage, mistakes.numbersOfExperts()));
      case SHARED ->
          lazily(
              () -> supposed(mistakes.ofExperts()),
              () -> exchanges.misplaced("shared"),
              () ->
                  factor(
                      "shared experts", "layers." + layer + ".shared.down.weight", quotient(stage)),
              () -> stacks.scales(".shared."),
              () -> missing(mistakes.missingInExperts(), stage),
              () -> scaled("shared", stage));
      case DENSE ->
          lazily(
              exchanges::norms,
              () -> exchanges.misplaced("dense"),
              () -> stacks.scales("."),
              () -> attention(stage),
              () -> scaled("dense", stage));
      case HEAD ->
          lazily(
              exchanges::ends,
              () -> mistakes.ofModel().stream().map(m -> Suspect.of(m, evidence)),
              () -> factor("head", Exchanges.HEAD, quotient(stage)),
              () -> moved("rows of the head", Exchanges.HEAD, stage),
              exchanges::finalNorm);
    };
  }

  /** Of all that fails in a layer at once. */
  Stream<Suspect> ofAll(List<Stage> failing) {
    return lazily(
        exchanges::wholeLayer,
        () -> exchanges.misplaced("router"),
        exchanges::norms,
        () -> stacks.scales("."),
        () -> supposed(mistakes.ofModel()),
        () -> supposed(mistakes.ofExperts()),
        // Both norms are read before attention and router, so one of these fails with them.
        () ->
            failing.stream()
                .filter(Set.of(Stage.ATTENTION, Stage.NORM, Stage.DENSE)::contains)
                .limit(1)
                .flatMap(stage -> fitted(stage, List.of(mistakes.epsilon(), mistakes.residual()))));
  }

  private Stream<Suspect> attention(Stage stage) {
    String output = "layers." + layer + ".attention.output.weight";
    return lazily(
        () -> supposed(mistakes.ofAttention()),
        () -> supposed(mistakes.ofModel()),
        () -> exchanges.misplaced("attention"),
        () ->
            factor(
                "attention output", output, Difference.quotient(own, stage, own.given(Step.INPUT))),
        () -> fitted(stage, mistakes.numbersOfAttention()),
        () -> fitted(stage, List.of(mistakes.epsilon())),
        () -> missing(mistakes.missingInAttention(), stage));
  }

  @SafeVarargs
  private static Stream<Suspect> lazily(Supplier<Stream<Suspect>>... suspects) {
    Stream<Suspect> all = Stream.empty();
    for (Supplier<Stream<Suspect>> some : suspects) {
      all = Stream.concat(all, Stream.of(some).flatMap(Supplier::get));
    }
    return all;
  }

  /** Mistakes without which the package would have every tensor that the model calls for. */
  private Stream<Suspect> supposed(List<Mistakes.Mistake> possible) {
    return possible.stream().filter(m -> evidence.has(m.right())).map(m -> Suspect.of(m, evidence));
  }

  private double quotient(Stage stage) {
    return Difference.quotient(own, stage, null);
  }

  private Stream<Suspect> factor(String what, String tensor, double quotient) {
    return Suspect.factor(what, tensor, quotient, evidence);
  }

  private Stream<Suspect> moved(String what, String tensor, Stage stage) {
    int rows = own.computed(stage).columns();
    return Columns.moved(own.computed(stage), own.recorded(stage)).stream()
        .map(sources -> Suspect.moved(what, tensor, sources, rows, evidence));
  }

  /** Numbers that are searched for, each by itself. */
  private Stream<Suspect> fitted(Stage stage, List<Mistakes.Scalar> numbers) {
    return numbers.stream()
        .flatMap(
            number -> {
              DoubleFunction<Suspect> with =
                  factor -> {
                    double value = number.own() * factor;
                    String cause = number.cause().apply(value);
                    return Suspect.of(cause, evidence, number.with().apply(value));
                  };
              double factor = fit(stage, number.least(), number.most(), number.points(), with);
              return Difference.tells(factor, evidence.precision())
                  ? Stream.of(with.apply(factor))
                  : Stream.of();
            });
  }

  /** Tensors of a part times a factor that is searched for, each by itself. */
  private Stream<Suspect> scaled(String part, Stage stage) {
    return exchanges.rows(part).stream()
        .flatMap(
            row -> {
              double factor = fit(stage, 0.01, 100, 33, f -> times(row, f));
              return factor(row.name(), row.name(), factor);
            });
  }

  private Suspect times(IndexRow which, double factor) {
    return Suspect.of("", evidence, which::equals, (row, stored) -> stored.get(row).times(factor));
  }

  private double fit(
      Stage stage, double least, double most, int points, DoubleFunction<Suspect> with) {
    return Fit.factor(
        least,
        most,
        points,
        factor -> Difference.of(evidence.layer(layer, with.apply(factor)), stage));
  }

  private Stream<Suspect> missing(List<Mistakes.Missing> missing, Stage stage) {
    return missing.stream()
        .map(vectors -> new MissingVectors(evidence, layer, stage, vectors).fit())
        .flatMap(Optional::stream);
  }
}

package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.verifier.oracle.Forced;
import dev.moxie.verifier.oracle.Forced.Stage;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.DoubleFunction;
import java.util.function.DoubleSupplier;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * What may be wrong where a stage of a layer fails, the cheapest first: numbers and vectors are
 * searched for when it comes to them.
 */
final class Suspects {
  private static final String OF_MODEL = "other norms or multipliers of the model";

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
   * Suspects that have something in common.
   *
   * @param name in the plural, for what was not tried
   */
  record Kind(String name, Supplier<Stream<Suspect>> suspects) {}

  /**
   * Of one stage.
   *
   * @param wrong experts that no token clears, if it is theirs
   */
  List<Kind> of(Stage stage, List<Integer> wrong) {
    return switch (stage) {
      case EMBEDDING ->
          List.of(
              new Kind("embedding and head confused", exchanges::ends),
              evidence.architecture().image() == null
                  ? factor("embedding", Exchanges.EMBEDDING, () -> quotient(stage))
                  : factor("patches", Exchanges.PATCHES, () -> quotient(stage)),
              new Kind(
                  "other multipliers of the embedding",
                  () -> supposed(mistakes.ofEmbedding(quotient(stage)))),
              new Kind("rows of the embedding moved", exchanges::movedEmbedding));
      case ATTENTION ->
          join(
              List.of(norms(), scales("." + partOfAttention() + ".")),
              attention(stage),
              scaled(partOfAttention(), stage));
      case NORM ->
          List.of(
              norms(),
              ofModel(),
              numbers(stage, mistakes.epsilon()),
              missing(mistakes.missingInNorm("feed_forward"), stage));
      case SUM ->
          List.of(
              norms(),
              ofModel(),
              outputFactor("feed-forward output norm", "feed_forward_output_norm", stage),
              missing(mistakes.missingInLayer(), stage),
              misplaced("layer"),
              again(),
              misplaced("again"),
              misplaced("dense"),
              scaled("feed_forward_output_norm", stage),
              residualScales(stage, false),
              scaled("again", stage),
              scaled("dense", stage),
              numbers(stage, mistakes.epsilon()));
      case ROUTER ->
          List.of(
              moved("router rows", "layers." + layer + ".router.weight", stage),
              factor("router", "layers." + layer + ".router.weight", () -> quotient(stage)),
              normsBeside(),
              ofExperts(),
              misplaced("router"),
              missing(mistakes.missingInExperts(), stage));
      case SELECTION, WEIGHTS -> List.of();
      case EXPERTS ->
          List.of(
              new Kind(
                  "experts in other places",
                  () -> new ExpertSuspects(evidence, layer).explain(wrong)),
              normsBeside(),
              scales(".experts."),
              new Kind("stacks of experts cut otherwise", stacks::experts),
              ofExperts(),
              new Kind(
                  "other numbers of experts", () -> fitted(stage, mistakes.numbersOfExperts())));
      case SHARED ->
          List.of(
              normsBeside(),
              ofExperts(),
              misplaced("dense"),
              misplaced("shared"),
              factor(
                  "shared experts",
                  "layers." + layer + ".shared.down.weight",
                  () -> quotient(stage)),
              scales(".shared."),
              new Kind(
                  "other factors of routed experts",
                  () -> fitted(stage, mistakes.numberOfRouted())),
              missing(mistakes.missingInExperts(), stage),
              scaled("shared", stage));
      case DENSE ->
          join(
              List.of(norms(), placements(), misplaced("dense"), scales(".")),
              attention(stage),
              scaled("dense", stage));
      case HEAD ->
          List.of(
              new Kind("embedding and head confused", exchanges::ends),
              new Kind(
                  OF_MODEL, () -> mistakes.ofModel().stream().map(m -> Suspect.of(m, evidence))),
              factor("head", Exchanges.HEAD, () -> quotient(stage)),
              new Kind(
                  "other multipliers of logits",
                  () -> supposed(mistakes.ofLogits(quotient(stage)))),
              moved("rows of the head", Exchanges.HEAD, stage),
              new Kind("another norm for the final one", exchanges::finalNorm),
              new Kind("other caps of logits", () -> fitted(stage, List.of(mistakes.logitCap()))),
              missing(mistakes.missingInHead(), stage));
    };
  }

  /** Of all that fails in a layer at once. */
  List<Kind> ofAll(List<Stage> failing) {
    return List.of(
        new Kind("weights of another layer", exchanges::wholeLayer),
        misplaced("router"),
        misplaced("attention_streams"),
        misplaced("feed_forward_streams"),
        again(),
        attendingAgain(failing),
        norms(),
        placements(),
        scales("."),
        ofModel(),
        ofExperts(),
        // Both norms are read before attention and router, so one of these fails with them.
        new Kind(
            "other numbers of the model",
            () ->
                failing.stream()
                    .filter(Set.of(Stage.ATTENTION, Stage.NORM, Stage.SUM, Stage.DENSE)::contains)
                    .limit(1)
                    .flatMap(
                        stage ->
                            fitted(
                                stage,
                                streams()
                                    ? List.of(mistakes.epsilon())
                                    : List.of(mistakes.epsilon(), mistakes.residual())))));
  }

  /** Whether halves of a layer write to several residual streams. */
  private boolean streams() {
    return evidence.architecture().streams() != null;
  }

  /** What its tensors are called within a layer. */
  private String partOfAttention() {
    return switch (evidence.architecture().layers().get(layer).attention()) {
      case Attention.Softmax a -> "attention";
      case Attention.GatedDelta a -> "delta";
      case Attention.ShortConvolution a -> "convolution";
      case Attention.Mamba _, Attention.Mamba2 _ -> "mamba";
      case Attention.Lightning _ -> "lightning";
      case Attention.None _ -> "none";
    };
  }

  private List<Kind> attention(Stage stage) {
    String part = partOfAttention();
    // A norm of what attention makes takes factors out of it.
    boolean normed = evidence.architecture().hasOutputNorms();
    return List.of(
        new Kind("another attention", () -> supposed(mistakes.ofAttention())),
        ofModel(),
        misplaced(part),
        new Kind(
            "rows of projections in another order",
            () -> new RowOrders(evidence, layer).suspects()),
        normed
            ? outputFactor("attention output norm", "attention_output_norm", stage)
            : outputFactor("attention output", part + ".output", stage),
        residualScales(stage, true),
        new Kind("other numbers of attention", () -> fitted(stage, mistakes.numbersOfAttention())),
        numbers(stage, mistakes.epsilon()),
        missing(mistakes.missingInAttention(), stage),
        // A whole layer, or a half up to what the next one reads, has two norms, and lacks the
        // biases
        // of both.
        missing(
            stage == Stage.DENSE || streams() || own.attendsAgain()
                ? List.of()
                : mistakes.missingInNorm("attention"),
            stage));
  }

  private static List<Kind> join(List<Kind> first, List<Kind> second, Kind last) {
    return Stream.of(first, second, List.of(last)).flatMap(List::stream).toList();
  }

  /** Where router, experts and the network beside them have norms of their own. */
  private Kind normsBeside() {
    boolean some = own.isRouted() && own.moe().beside() != null;
    return new Kind("other norms", some ? exchanges::norms : Stream::of);
  }

  private Kind again() {
    return new Kind(
        "what is done twice in other places", own.attendsAgain() ? exchanges::again : Stream::of);
  }

  /** What is wrong with an attention shows wherever its layer attends. */
  private Kind attendingAgain(List<Stage> failing) {
    return new Kind(
        "another attention, twice",
        () ->
            own.attendsAgain() && failing.contains(Stage.ATTENTION)
                ? Stream.concat(
                    supposed(mistakes.ofAttention()),
                    fitted(Stage.ATTENTION, mistakes.numbersOfAttention()))
                : Stream.of());
  }

  private Kind norms() {
    return new Kind("other norms", exchanges::norms);
  }

  /** Of the two stages that these move, one then holds by itself: they are told by both. */
  private Kind placements() {
    return new Kind("norms elsewhere", exchanges::placements);
  }

  private Kind scales(String part) {
    return new Kind("displaced block scales", () -> stacks.scales(part));
  }

  private Kind misplaced(String part) {
    return new Kind("misplaced weights of the " + part, () -> exchanges.misplaced(part));
  }

  private Kind ofModel() {
    return new Kind(OF_MODEL, () -> supposed(mistakes.ofModel()));
  }

  private Kind ofExperts() {
    return new Kind("other experts or shared experts", () -> supposed(mistakes.ofExperts()));
  }

  /** Mistakes without which the package would have every tensor that the model calls for. */
  private Stream<Suspect> supposed(List<Mistakes.Mistake> possible) {
    return possible.stream().filter(m -> evidence.has(m.right())).map(m -> Suspect.of(m, evidence));
  }

  private double quotient(Stage stage) {
    return Difference.quotient(own, stage, null);
  }

  private Kind factor(String what, String tensor, DoubleSupplier quotient) {
    return new Kind(
        "a factor of the " + what,
        () -> Suspect.factor(what, tensor, quotient.getAsDouble(), evidence));
  }

  /** Of what is added to the residual stream. */
  private Kind outputFactor(String what, String tensor, Stage stage) {
    if (streams()) {
      // What it is added to follows from no record.
      return new Kind("a factor of the " + what, Stream::of);
    }
    Architecture model = evidence.architecture();
    if (model.hasOutputNorms()
        && stage != Stage.DENSE
        && !model.readsResidual(model.layers().get(layer).feedForward())) {
      // What is recorded next is a norm of the sum, or was added to what no record has.
      return scaled(tensor, stage);
    }
    Step before = stage == Stage.SUM ? Step.MOE_INPUT : Step.INPUT;
    return factor(
        what,
        "layers." + layer + "." + tensor + ".weight",
        () -> Difference.quotient(own, stage, own.given(before)));
  }

  private Kind moved(String what, String tensor, Stage stage) {
    return new Kind(
        what + " moved",
        () -> {
          int rows = own.computed(stage).columns();
          return Columns.moved(own.computed(stage), own.recorded(stage)).stream()
              .map(sources -> Suspect.moved(what, tensor, sources, rows, evidence));
        });
  }

  private Kind numbers(Stage stage, Mistakes.Scalar number) {
    return new Kind("other numbers of the model", () -> fitted(stage, List.of(number)));
  }

  /** Of several streams, halves side by side, or where a layer attends again, there are none. */
  private Kind residualScales(Stage stage, boolean ofAttention) {
    Architecture model = evidence.architecture();
    boolean some = !streams() && !model.hasParallelHalves() && !model.attendsAgain();
    return new Kind(
        "other factors of the residual stream",
        () -> some ? fitted(stage, mistakes.residualScales(ofAttention)) : Stream.of());
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
  private Kind scaled(String part, Stage stage) {
    return new Kind(
        "factors of single weights",
        () ->
            exchanges.rows(part).stream()
                .flatMap(
                    row -> {
                      double factor = fit(stage, 0.01, 100, 33, f -> times(row, f));
                      return Suspect.factor(row.name(), row.name(), factor, evidence);
                    }));
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

  private Kind missing(List<Mistakes.Missing> missing, Stage stage) {
    return new Kind(
        "vectors that the package lacks",
        () ->
            missing.stream()
                .map(vectors -> new MissingVectors(evidence, layer, stage, vectors).fit())
                .flatMap(Optional::stream));
  }
}

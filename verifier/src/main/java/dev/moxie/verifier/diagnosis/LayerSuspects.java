package dev.moxie.verifier.diagnosis;

import static dev.moxie.verifier.diagnosis.LayerInside.ATTENTION;
import static dev.moxie.verifier.diagnosis.LayerInside.DENSE;
import static dev.moxie.verifier.diagnosis.LayerInside.EXPERTS;
import static dev.moxie.verifier.diagnosis.LayerInside.NORM;
import static dev.moxie.verifier.diagnosis.LayerInside.ROUTER;
import static dev.moxie.verifier.diagnosis.LayerInside.SELECTION;
import static dev.moxie.verifier.diagnosis.LayerInside.SHARED;
import static dev.moxie.verifier.diagnosis.LayerInside.WEIGHTS;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Words;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * What may be wrong inside a layer: the oracle computes each failing step under one supposition
 * after the other, from what the reference recorded before that step, until the reference's numbers
 * come out. One supposition that explains all failing steps goes before one for each.
 */
final class LayerSuspects {
  private static final int EXPERTS_SHOWN = 8;
  private static final Pattern ANY_NORM = Pattern.compile("layers\\..*_norm\\.weight");
  private static final Pattern BLOCK_NORM =
      Pattern.compile("layers\\.\\d+\\.(attention|feed_forward)_norm\\.weight");

  private final Evidence evidence;
  private final int layer;
  private final LayerInside inside;
  private final List<Report.Step> steps;

  /** Suspects of one layer, whose steps have been compared. */
  LayerSuspects(Evidence evidence, int layer, List<Report.Step> steps) {
    this.evidence = evidence;
    this.layer = layer;
    this.inside = new LayerInside(evidence, layer);
    this.steps = steps;
  }

  /** The one thing that explains all that fails, routing included, where several steps do. */
  Optional<String> explainWhole() {
    List<String> failing = LayerInside.failing(steps);
    boolean routing = failing.contains(SELECTION) || failing.contains(WEIGHTS);
    return failing.size() > 1 || failing.contains(DENSE) || (routing && !hasLogits())
        ? wholeLayer().filter(suspect -> explains(suspect, failing)).findFirst().map(this::sentence)
        : Optional.empty();
  }

  /** A sentence for each step that something explains; routing is looked at over all layers. */
  List<String> explainSteps() {
    List<String> failing = new ArrayList<>(LayerInside.failing(steps));
    failing.removeAll(List.of(SELECTION, WEIGHTS));
    List<String> sentences = new ArrayList<>();
    for (String step : failing) {
      explain(step).ifPresent(sentences::add);
    }
    return sentences.isEmpty() && !failing.isEmpty()
        ? sizeOfRounding(failing).stream().toList()
        : sentences;
  }

  private Optional<String> explain(String step) {
    if (step.equals(SHARED)
        && evidence.feedForward(layer) instanceof FeedForward.MixtureOfExperts moe
        && moe.shared() == null) {
      return Optional.of(
          "Looks like shared experts skipped: the reference adds something to its experts' output,"
              + " and the package has no shared experts.");
    }
    List<Integer> lost = step.equals(EXPERTS) ? lost() : List.of();
    if (!lost.isEmpty()) {
      return Optional.of(
          "Looks like lost experts: of layer %d, expert %s gives nothing but zeros, unlike the reference's."
              .formatted(layer, Words.numbers(lost, EXPERTS_SHOWN)));
    }
    return suspects(step)
        .filter(suspect -> explains(suspect, List.of(step)))
        .findFirst()
        .map(this::sentence);
  }

  /** Whether a supposition brings out what failed, and leaves right what was right. */
  private boolean explains(Suspect suspect, List<String> failing) {
    Oracle oracle = evidence.oracle(suspect);
    List<String> right =
        steps.stream().filter(step -> step.verdict().passed()).map(Report.Step::name).toList();
    return inside.hold(oracle, failing) && inside.hold(oracle, right);
  }

  private String sentence(Suspect suspect) {
    return "Looks like %s: without that, the reference's numbers of layer %d come out."
        .formatted(suspect.cause(), layer);
  }

  /** What remains to be said where no suspect explains anything: how large the differences are. */
  private Optional<String> sizeOfRounding(List<String> failing) {
    var rounded =
        new Oracle(evidence.architecture(), evidence.weights().asRounded(), evidence.precision());
    return inside.hold(rounded, failing)
        ? Optional.of(
            "The differences of layer %d are no larger than rounding weights to BF16 makes them: a"
                    .formatted(layer)
                + " checkpoint exported from a cast package differs so from its first source.")
        : Optional.empty();
  }

  /** Of a step, the cheapest first: numbers and vectors are searched for when it comes to them. */
  private Stream<Suspect> suspects(String step) {
    var mistakes = new Mistakes(evidence.architecture(), layer, evidence.tokens());
    return switch (step) {
      case ATTENTION ->
          lazily(
              this::norms,
              () -> ScaleSuspects.of(evidence, layer, ".attention."),
              () -> attention(step, mistakes),
              () -> weights("attention").scaled(inside, step));
      case NORM ->
          lazily(
              this::norms,
              () -> supposed(mistakes.ofModel()),
              () -> fitted(List.of(mistakes.epsilon()), step));
      case ROUTER ->
          lazily(
              () -> RouterSuspects.of(evidence, layer, inside),
              () -> supposed(mistakes.ofExperts()),
              () -> weights("router").misplaced(),
              () -> missing(mistakes.missingInExperts(), step));
      case EXPERTS ->
          lazily(
              () -> new ExpertSuspects(evidence, layer).explain(wrongExperts()),
              () -> ScaleSuspects.of(evidence, layer, ".experts."),
              () -> StackSuspects.of(evidence, layer),
              () -> supposed(mistakes.ofExperts()),
              () -> fitted(mistakes.numbersOfExperts(), step));
      case SHARED ->
          lazily(
              () -> supposed(mistakes.ofExperts()),
              () -> weights("shared").misplaced(),
              this::scaledShared,
              () -> ScaleSuspects.of(evidence, layer, ".shared."),
              () -> missing(mistakes.missingInExperts(), step),
              () -> weights("shared").scaled(inside, step));
      case DENSE ->
          lazily(
              this::norms,
              () -> weights("dense").misplaced(),
              () -> ScaleSuspects.of(evidence, layer, "."),
              () -> attention(step, mistakes),
              () -> weights("dense").scaled(inside, step));
      default -> Stream.of();
    };
  }

  private Stream<Suspect> attention(String step, Mistakes mistakes) {
    return lazily(
        () -> supposed(mistakes.ofAttention()),
        () -> supposed(mistakes.ofModel()),
        () -> weights("attention").misplaced(),
        () -> scaledAttention(step),
        () -> fitted(mistakes.numbersOfAttention(), step),
        () -> fitted(List.of(mistakes.epsilon()), step),
        () -> missing(mistakes.missingInAttention(), step));
  }

  @SafeVarargs
  private static Stream<Suspect> lazily(Supplier<Stream<Suspect>>... suspects) {
    Stream<Suspect> all = Stream.empty();
    for (Supplier<Stream<Suspect>> some : suspects) {
      all = Stream.concat(all, Stream.of(some).flatMap(Supplier::get));
    }
    return all;
  }

  private WeightSuspects weights(String part) {
    return new WeightSuspects(evidence, layer, part);
  }

  /** Mistakes without which the package would have every tensor that the model calls for. */
  private Stream<Suspect> supposed(List<Mistakes.Mistake> mistakes) {
    return mistakes.stream()
        .filter(mistake -> evidence.has(mistake.right()))
        .map(mistake -> Suspect.of(mistake.cause(), evidence, mistake.right()));
  }

  private Stream<Suspect> fitted(List<Mistakes.Scalar> numbers, String step) {
    return numbers.stream()
        .flatMap(
            number -> {
              double factor =
                  Fit.factor(
                      number.least(),
                      number.most(),
                      number.points(),
                      f -> Difference.of(inside, evidence.oracle(with(number, f)), step));
              return Difference.tells(factor, evidence.precision())
                  ? Stream.of(with(number, factor))
                  : Stream.of();
            });
  }

  private Suspect with(Mistakes.Scalar number, double factor) {
    double value = number.own() * factor;
    return Suspect.of(number.cause().apply(value), evidence, number.with().apply(value));
  }

  private Stream<Suspect> missing(List<Mistakes.Missing> missing, String step) {
    return missing.stream()
        .map(vectors -> new MissingVectors(evidence, inside, step, vectors).fit())
        .flatMap(Optional::stream);
  }

  private Stream<Suspect> scaledAttention(String step) {
    double quotient =
        Difference.quotient(
            inside.compute(evidence.oracle(), step),
            inside.expected(step),
            evidence.given(layer, "input"));
    String name = "layers." + layer + ".attention.output.weight";
    return Suspect.factor("attention output", name, quotient, evidence);
  }

  private Stream<Suspect> scaledShared() {
    double factor =
        Difference.quotient(inside.compute(evidence.oracle(), SHARED), inside.expected(SHARED));
    String name = "layers." + layer + ".shared.down.weight";
    return Suspect.factor("shared experts", name, factor, evidence);
  }

  private List<Integer> wrongExperts() {
    return steps.stream()
        .filter(step -> step.name().equals(EXPERTS))
        .findFirst()
        .orElseThrow()
        .experts();
  }

  /** Wrong experts whose output is zero for every token. */
  private List<Integer> lost() {
    Oracle oracle = evidence.oracle();
    return wrongExperts().stream().filter(expert -> isZero(oracle, expert)).toList();
  }

  private boolean isZero(Oracle oracle, int expert) {
    var output = oracle.expert(layer, expert, evidence.given(layer, "moe.input"));
    return IntStream.range(0, output.rows())
        .allMatch(r -> IntStream.range(0, output.columns()).allMatch(c -> output.value(r, c) == 0));
  }

  private Stream<Suspect> wholeLayer() {
    Architecture.Blocks own = evidence.architecture().layers().get(layer);
    Stream<Suspect> others =
        IntStream.range(0, evidence.architecture().layers().size())
            .filter(other -> other != layer)
            .filter(other -> evidence.architecture().layers().get(other).equals(own))
            .mapToObj(
                other ->
                    Suspect.of(
                        "layer %d with the weights of layer %d".formatted(layer, other),
                        evidence,
                        (row, stored) ->
                            stored.get(
                                row.layer() != null && row.layer() == layer
                                    ? Siblings.ofLayer(evidence.pack(), row, other)
                                    : row)));
    var mistakes = new Mistakes(evidence.architecture(), layer, evidence.tokens());
    return lazily(
        () -> others,
        () -> weights("router").misplaced(),
        this::norms,
        () -> ScaleSuspects.of(evidence, layer, "."),
        () -> supposed(mistakes.ofModel()),
        () -> supposed(mistakes.ofExperts()),
        () -> numbersBehindSeveral(mistakes));
  }

  private boolean hasLogits() {
    return evidence.has(layer, "router.logits");
  }

  /** Both norms are read before attention and router, so one of these steps fails with them. */
  private Stream<Suspect> numbersBehindSeveral(Mistakes mistakes) {
    return LayerInside.failing(steps).stream()
        .filter(Set.of(ATTENTION, NORM, DENSE)::contains)
        .limit(1)
        .flatMap(step -> fitted(List.of(mistakes.epsilon(), mistakes.residual()), step));
  }

  /** Norms in each other's place, or one less or more than they are. */
  private Stream<Suspect> norms() {
    String attention = "layers." + layer + ".attention_norm.weight";
    String feedForward = "layers." + layer + ".feed_forward_norm.weight";
    return Stream.of(
        Suspect.of(
            "attention norm and feed-forward norm swapped",
            evidence,
            (row, stored) ->
                stored.get(
                    row.name().equals(attention) || row.name().equals(feedForward)
                        ? Siblings.renamed(
                            evidence.pack(),
                            row,
                            name -> name.equals(attention) ? feedForward : attention)
                        : row)),
        shifted("norm weights stored as differences from one", BLOCK_NORM, 1),
        shifted("norm weights stored as differences from one", ANY_NORM, 1),
        shifted("one added to norm weights", BLOCK_NORM, -1),
        shifted("one added to norm weights", ANY_NORM, -1));
  }

  private Suspect shifted(String cause, Pattern norms, double summand) {
    return Suspect.of(
        cause,
        evidence,
        (row, stored) ->
            norms.matcher(row.name()).matches() ? stored.get(row).plus(summand) : stored.get(row));
  }

  /** Steps of the layer, for whoever looks inside first. */
  static List<Report.Step> steps(Evidence evidence, int layer) {
    var inside = new LayerInside(evidence, layer);
    return inside.isRecorded() ? inside.steps() : List.of();
  }
}

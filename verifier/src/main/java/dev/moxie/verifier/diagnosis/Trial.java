package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Step;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.diagnosis.Suspects.Kind;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Forced;
import dev.moxie.verifier.oracle.Forced.Stage;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Words;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Names what a wrong package looks like: known defects are supposed one at a time, the stages that
 * fail are computed as the package would have them without, and one under which the reference's
 * numbers come out is named. One that explains all failing stages goes before one for each.
 */
final class Trial {
  private static final int EXPERTS_SHOWN = 8;

  private final Evidence evidence;
  private final Set<String> untried = new LinkedHashSet<>();

  Trial(Evidence evidence) {
    this.evidence = evidence;
  }

  /** A stage of a layer. */
  private record Place(int layer, Stage stage) {}

  /** The first suspect with which these come out as they were recorded, while there is time. */
  private Optional<Suspect> first(List<Kind> kinds, List<Place> places) {
    for (int i = 0; i < kinds.size(); i++) {
      try {
        Optional<Suspect> found = first(kinds.get(i).suspects().get(), places);
        if (found.isPresent()) {
          return found;
        }
      } catch (Budget.Spent e) {
        kinds.subList(i, kinds.size()).forEach(kind -> untried.add(kind.name()));
        return Optional.empty();
      }
    }
    return Optional.empty();
  }

  private Optional<Suspect> first(Stream<Suspect> suspects, List<Place> places) {
    return suspects
        .filter(
            suspect ->
                places.stream()
                    .allMatch(
                        place ->
                            Evidence.holds(evidence.layer(place.layer(), suspect), place.stage())))
        .findFirst();
  }

  private boolean hold(List<Place> places) {
    return places.stream()
        .allMatch(place -> Evidence.holds(evidence.layer(place.layer()), place.stage()));
  }

  private static String sentence(String cause, String what) {
    return "Looks like %s: without that, the reference's %s come out.".formatted(cause, what);
  }

  /**
   * One sentence per defect that explains something, none if the catalogue has no explanation; and
   * one for what there was no time to try.
   */
  List<String> explain(Report.Routing routing, Report.Ends ends, List<Report.Layer> layers) {
    List<String> sentences = new ArrayList<>(suppose(routing, ends, layers));
    if (!untried.isEmpty()) {
      sentences.add(
          "Not tried, since the %,d s for diagnosis were spent (--diagnosis): %s."
              .formatted(evidence.budget().limit().toSeconds(), String.join(", ", untried)));
    }
    return sentences;
  }

  private List<String> suppose(
      Report.Routing routing, Report.Ends ends, List<Report.Layer> layers) {
    List<String> sentences = new ArrayList<>();
    if (!Report.holds(ends.embedding())) {
      explainEnd(0, Stage.EMBEDDING, "embeddings").ifPresent(sentences::add);
    }
    if (!Report.holds(ends.head())) {
      int last = evidence.architecture().layers().size() - 1;
      explainEnd(last, Stage.HEAD, "logits").ifPresent(sentences::add);
    }
    Optional<Report.Layer> first =
        layers.stream().filter(layer -> !layer.verdict().passed()).findFirst();
    Optional<String> whole = first.flatMap(this::explainWhole);
    if (whole.isPresent()) {
      sentences.add(whole.get());
      return sentences;
    }
    if (routing.mismatch() > 0 || layers.stream().anyMatch(this::weightsDiffer)) {
      sentences.addAll(explainRouting());
    }
    first.map(this::explainStages).ifPresent(sentences::addAll);
    return sentences;
  }

  private boolean weightsDiffer(Report.Layer layer) {
    Comparison weights = layer.steps().get(evidence.name(layer.layer(), Step.ROUTER_WEIGHTS));
    return weights != null && !weights.verdict().passed();
  }

  private Optional<String> explainEnd(int layer, Stage stage, String what) {
    return first(
            new Suspects(evidence, layer).of(stage, List.of()), List.of(new Place(layer, stage)))
        .map(suspect -> sentence(suspect.cause(), what));
  }

  /** Stages of a layer that came out as they were recorded, or did not. */
  private static List<Stage> stages(Report.Layer layer, boolean passed) {
    return layer.inside().stream()
        .filter(step -> step.verdict().passed() == passed)
        .map(step -> Stage.valueOf(step.name().toUpperCase(Locale.ROOT)))
        .toList();
  }

  /** What brings out some stages of a layer, and leaves right what was right. */
  private Optional<String> explain(Report.Layer layer, List<Kind> suspects, List<Stage> failing) {
    List<Place> places =
        Stream.concat(failing.stream(), stages(layer, true).stream())
            .map(stage -> new Place(layer.layer(), stage))
            .toList();
    return first(suspects, places)
        .map(suspect -> sentence(suspect.cause(), "numbers of layer " + layer.layer()));
  }

  /** The one thing that explains all that fails, routing included, where several stages do. */
  private Optional<String> explainWhole(Report.Layer layer) {
    List<Stage> failing = stages(layer, false);
    boolean routing = failing.contains(Stage.SELECTION) || failing.contains(Stage.WEIGHTS);
    boolean logits = evidence.layer(layer.layer()).has(Step.ROUTER_LOGITS);
    return failing.size() > 1 || failing.contains(Stage.DENSE) || (routing && !logits)
        ? explain(layer, new Suspects(evidence, layer.layer()).ofAll(failing), failing)
        : Optional.empty();
  }

  /** A sentence for each stage that something explains; routing is looked at over all layers. */
  private List<String> explainStages(Report.Layer layer) {
    List<Stage> failing = new ArrayList<>(stages(layer, false));
    failing.removeAll(List.of(Stage.SELECTION, Stage.WEIGHTS));
    List<String> sentences =
        failing.stream()
            .map(stage -> explainStage(layer, stage))
            .flatMap(Optional::stream)
            .toList();
    return sentences.isEmpty() && !failing.isEmpty()
        ? sizeOfRounding(layer.layer(), failing).stream().toList()
        : sentences;
  }

  private Optional<String> explainStage(Report.Layer layer, Stage stage) {
    Forced own = evidence.layer(layer.layer());
    if (stage == Stage.SHARED && !addsAnything(own.moe())) {
      return Optional.of(
          isOneVector(own.recorded(stage))
              ? "Looks like a dropped bias of what experts make together: the reference adds the"
                  + " same to it for every token, and the package has no such bias."
              : "Looks like shared experts skipped: the reference adds something to its experts'"
                  + " output, and the package has no shared experts.");
    }
    List<Integer> wrong = layer.inside().stream().flatMap(step -> step.experts().stream()).toList();
    List<Integer> lost = stage == Stage.EXPERTS ? lost(layer.layer(), wrong) : List.of();
    if (!lost.isEmpty()) {
      return Optional.of(
          "Looks like lost experts: of layer %d, expert %s gives nothing but zeros, unlike the reference's."
              .formatted(layer.layer(), Words.numbers(lost, EXPERTS_SHOWN)));
    }
    var suspects = new Suspects(evidence, layer.layer());
    return explain(layer, suspects.of(stage, wrong), List.of(stage));
  }

  /** Whether anything is added to what routed experts make. */
  private static boolean addsAnything(FeedForward.MixtureOfExperts m) {
    return m.shared() != null || m.beside() != null || m.outputBias();
  }

  /** Whether rows are all the same, to their errors: to that of the best of each column. */
  private static boolean isOneVector(Estimate rows) {
    long elements = (long) rows.rows() * rows.columns();
    for (int c = 0; c < rows.columns(); c++) {
      int best = 0;
      for (int t = 1; t < rows.rows(); t++) {
        best = rows.error(t, c) < rows.error(best, c) ? t : best;
      }
      for (int t = 0; t < rows.rows(); t++) {
        double error = Math.hypot(rows.error(t, c), rows.error(best, c));
        double difference = Math.abs(rows.value(t, c) - rows.value(best, c));
        if (!(difference <= Tolerance.bound(error, elements))) {
          return false;
        }
      }
    }
    return rows.rows() > 1;
  }

  /** Wrong experts whose output is zero for every token. */
  private List<Integer> lost(int layer, List<Integer> wrong) {
    Forced own = evidence.layer(layer);
    return wrong.stream()
        .filter(expert -> own.expert(expert, own.given(Step.MOE_INPUT)).largest() == 0)
        .toList();
  }

  /** What remains to be said where no suspect explains anything: how large the differences are. */
  private Optional<String> sizeOfRounding(int layer, List<Stage> failing) {
    if (evidence.budget().isSpent()) {
      untried.add("weights rounded to BF16");
      return Optional.empty();
    }
    Forced rounded =
        evidence.layer(layer).supposing(evidence.architecture(), evidence.weights().asRounded());
    return failing.stream().allMatch(stage -> Evidence.holds(rounded, stage))
        ? Optional.of(
            "The differences of layer %d are no larger than rounding weights to BF16 makes them: a"
                    .formatted(layer)
                + " checkpoint exported from a cast package differs so from its first source.")
        : Optional.empty();
  }

  /** Sentences for what explains decisions, and what explains weights, in all layers. */
  private List<String> explainRouting() {
    Map<Routing, List<Forced>> alike =
        evidence.verified().stream()
            .map(evidence::layer)
            .filter(Forced::isRouted)
            .collect(
                Collectors.groupingBy(
                    layer -> layer.moe().routing(), LinkedHashMap::new, Collectors.toList()));
    List<String> sentences = new ArrayList<>();
    alike.forEach((stated, routed) -> sentences.addAll(explainRouting(stated, routed)));
    return sentences;
  }

  private List<String> explainRouting(Routing stated, List<Forced> routed) {
    Forced first = routed.getFirst();
    List<String> sentences = new ArrayList<>();
    var mistakes = new RoutingMistakes(evidence.architecture(), stated, first.moe().experts());
    List<Place> decisions = places(routed, Stage.SELECTION);
    if (!hold(decisions)) {
      first(supposed("other choices of experts", mistakes.ofDecisions()), decisions)
          .map(Suspect::cause)
          .or(() -> biases(routed, stated))
          .ifPresent(cause -> sentences.add(sentence(cause, "routing decisions")));
    }
    List<Place> weights = places(routed, Stage.WEIGHTS);
    if (!hold(weights)) {
      Estimate recorded = first.recorded(Stage.WEIGHTS);
      double ratio = recorded.value(0, 0) / first.computed(Stage.WEIGHTS).value(0, 0);
      first(supposed("other weights of experts", mistakes.ofWeights(ratio)), weights)
          .or(() -> first(List.of(factors(first)), weights.subList(0, 1)))
          .ifPresent(suspect -> sentences.add(sentence(suspect.cause(), "routing weights")));
    }
    return sentences;
  }

  /** Factors that the package lacks, as they are found in one layer. */
  private Kind factors(Forced layer) {
    var mistakes = new Mistakes(evidence.architecture(), layer.layer(), evidence.tokens());
    return new Kind(
        "factors of experts' weights",
        () ->
            mistakes.missingInWeights().stream()
                .map(m -> new MissingVectors(evidence, layer.layer(), Stage.WEIGHTS, m).fit())
                .flatMap(Optional::stream));
  }

  private static List<Place> places(List<Forced> layers, Stage stage) {
    return layers.stream().map(layer -> new Place(layer.layer(), stage)).toList();
  }

  private List<Kind> supposed(String name, List<Mistakes.Mistake> mistakes) {
    return List.of(
        new Kind(name, () -> mistakes.stream().map(mistake -> Suspect.of(mistake, evidence))));
  }

  /** Whether other biases explain what was decided. */
  private Optional<String> biases(List<Forced> routed, Routing stated) {
    if (evidence.budget().isSpent()) {
      untried.add("other biases of routers");
      return Optional.empty();
    }
    Routing.Groups groups = stated.groups();
    if (stated.mixer() != null
        || stated.assigned()
        || stated.prototypes() > 0
        || stated.hierarchy() != null
        || (groups != null && groups.maskValue() == Routing.Groups.MaskValue.ZERO)) {
      // With a bias, zero would be a value like any other; logits are mixed as they are, a table
      // asks for none, and prototypes and gates of two levels have none.
      return Optional.empty();
    }
    Routing biased = stated.hasBiasOfScores() ? stated : stated.withBias(Routing.Bias.SELECTION);
    boolean rounded =
        routed.stream().allMatch(layer -> BiasFit.isBf16(layer.routerBias()))
            && stated.hasBiasOfScores()
            && fit(routed, biased, true);
    if (rounded) {
      return Optional.of("a selection bias rounded to bf16");
    }
    if (!fit(routed, biased, false)) {
      return Optional.empty();
    }
    boolean dropped =
        !stated.hasBiasOfScores()
            || routed.stream()
                .anyMatch(layer -> Arrays.stream(layer.routerBias()).allMatch(b -> b == 0));
    return Optional.of(dropped ? "a dropped selection bias" : "a wrong selection bias");
  }

  private boolean fit(List<Forced> routed, Routing routing, boolean withinRounding) {
    return routed.stream()
        .allMatch(
            layer ->
                new BiasFit(routing, layer.routerBias(), evidence.precision(), withinRounding)
                    .explains(layer.logits(), layer.experts()));
  }
}

package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.RoutingOracle;
import dev.moxie.verifier.report.Figures;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What may be wrong with a routing equation: supposed changes of it are applied to the router
 * logits that the reference recorded, and compared with the experts and weights that it recorded.
 */
final class RoutingSuspects {
  private final List<Layer> layers = new ArrayList<>();
  private final Precision precision;

  /** One layer's routing as the reference recorded it. */
  @SuppressWarnings("ArrayRecordComponent") // Never compared.
  private record Layer(
      FeedForward.MixtureOfExperts moe,
      double[] bias,
      Estimate logits,
      List<int[]> experts,
      Estimate weights) {
    RoutingOracle.Routed route(
        Routing routing, double[] withBias, boolean replayed, Precision precision) {
      return new RoutingOracle(routing, withBias, precision)
          .route(logits, replayed ? experts : null);
    }
  }

  RoutingSuspects(Evidence evidence) {
    this.precision = evidence.precision();
    Architecture architecture = evidence.architecture();
    Oracle oracle = evidence.oracle();
    for (int i = 0; i < architecture.layers().size(); i++) {
      if (architecture.layers().get(i).feedForward() instanceof FeedForward.MixtureOfExperts moe) {
        layers.add(
            new Layer(
                moe,
                oracle.routerBias(i, moe),
                evidence.logits(oracle, i, moe),
                evidence.experts(i, moe),
                evidence.router(i, "router.weights", moe.routing().expertsPerToken())));
      }
    }
  }

  /** Sentences for what explains decisions, and what explains weights. */
  List<String> explain() {
    List<String> sentences = new ArrayList<>();
    Routing stated = layers.getFirst().moe().routing();
    if (layers.stream().anyMatch(layer -> !layer.moe().routing().equals(stated))) {
      return sentences;
    }
    if (!decisionsFit(stated)) {
      explainDecisions(stated)
          .map(cause -> sentence(cause, "routing decisions"))
          .ifPresent(sentences::add);
    }
    if (!weightsFit(stated)) {
      explainWeights(stated)
          .map(cause -> sentence(cause, "routing weights"))
          .ifPresent(sentences::add);
    }
    return sentences;
  }

  private static String sentence(String cause, String what) {
    return "Looks like " + cause + ": without that, the reference's " + what + " come out.";
  }

  private Optional<String> explainDecisions(Routing stated) {
    Map<String, Routing> suspects = new LinkedHashMap<>();
    Routing.Groups groups = stated.groups();
    if (groups != null) {
      suspects.put("groups that the reference does not have", stated.withGroups(null));
      boolean single = groups.count() == layers.getFirst().moe().experts();
      for (Routing.Groups.Aggregate other : Routing.Groups.Aggregate.values()) {
        if (single && other == Routing.Groups.Aggregate.SUM_OF_TOP_TWO) {
          continue;
        }
        suspects.put(
            "group aggregate by %s instead of %s"
                .formatted(words(groups.aggregate()), words(other)),
            stated.withGroups(
                new Routing.Groups(groups.count(), groups.kept(), other, groups.maskValue())));
      }
      addGroupCounts(suspects, stated, groups);
    } else {
      addGroups(suspects, stated);
    }
    for (Routing.Score other : Routing.Score.values()) {
      suspects.put(scores(stated, other), stated.withScore(other));
    }
    if (stated.hasBiasOfScores()) {
      suspects.put("a selection bias that the reference does not have", stated.withBias(null));
    }
    return suspects.entrySet().stream()
        .filter(suspect -> decisionsFit(suspect.getValue()))
        .map(Map.Entry::getKey)
        .findFirst()
        .or(() -> explainByBias(stated));
  }

  /** Every number of groups and of kept ones that the experts could be limited by. */
  private List<Limit> limits(Routing stated) {
    int experts = layers.getFirst().moe().experts();
    List<Limit> limits = new ArrayList<>();
    for (int count = 2; count <= experts / 2; count++) {
      for (int kept = 1; kept < count && experts % count == 0; kept++) {
        if ((long) kept * (experts / count) >= stated.expertsPerToken()) {
          limits.add(new Limit(count, kept));
        }
      }
    }
    return limits;
  }

  private record Limit(int count, int kept) {}

  /** Other numbers of groups, those first that keep the same share. */
  private void addGroupCounts(
      Map<String, Routing> suspects, Routing stated, Routing.Groups groups) {
    var own = new Limit(groups.count(), groups.kept());
    limits(stated).stream()
        .filter(limit -> !limit.equals(own))
        .sorted(
            Comparator.comparing(limit -> limit.kept() * own.count() != own.kept() * limit.count()))
        .forEach(
            limit ->
                suspects.put(
                    "wrong group count: %d of %d groups kept instead of %d of %d"
                        .formatted(own.kept(), own.count(), limit.kept(), limit.count()),
                    stated.withGroups(
                        new Routing.Groups(
                            limit.count(), limit.kept(), groups.aggregate(), groups.maskValue()))));
  }

  /** Any groups at all, where the package has none. */
  private void addGroups(Map<String, Routing> suspects, Routing stated) {
    for (Routing.Groups.Aggregate aggregate : Routing.Groups.Aggregate.values()) {
      for (Limit limit : limits(stated)) {
        suspects.put(
            "dropped groups: %d of %d by %s kept"
                .formatted(limit.kept(), limit.count(), words(aggregate)),
            stated.withGroups(
                new Routing.Groups(
                    limit.count(),
                    limit.kept(),
                    aggregate,
                    Routing.Groups.MaskValue.NEGATIVE_INFINITY)));
      }
    }
  }

  private Optional<String> explainByBias(Routing stated) {
    Routing.Groups groups = stated.groups();
    if (groups != null && groups.maskValue() == Routing.Groups.MaskValue.ZERO) {
      // With a bias, zero would be a value like any other: there is no such equation.
      return Optional.empty();
    }
    Routing biased = stated.hasBiasOfScores() ? stated : stated.withBias(Routing.Bias.SELECTION);
    boolean rounded =
        layers.stream().allMatch(layer -> BiasFit.isBf16(layer.bias()))
            && stated.hasBiasOfScores()
            && biasesFit(biased, true);
    if (rounded) {
      return Optional.of("a selection bias rounded to bf16");
    }
    if (!biasesFit(biased, false)) {
      return Optional.empty();
    }
    boolean dropped =
        !stated.hasBiasOfScores()
            || layers.stream()
                .anyMatch(l -> java.util.Arrays.stream(l.bias()).allMatch(b -> b == 0));
    return Optional.of(dropped ? "a dropped selection bias" : "a wrong selection bias");
  }

  private boolean biasesFit(Routing routing, boolean withinRounding) {
    return layers.stream()
        .allMatch(
            layer ->
                new BiasFit(routing, layer.bias(), precision, withinRounding)
                    .explains(layer.logits(), layer.experts()));
  }

  private Optional<String> explainWeights(Routing stated) {
    Map<String, Routing> suspects = new LinkedHashMap<>();
    if (stated.bias() == Routing.Bias.SELECTION_AND_WEIGHTS) {
      suspects.put(
          "a bias added to the weights instead of to the selection only",
          stated.withBias(Routing.Bias.SELECTION));
    } else if (stated.hasBiasOfScores()) {
      suspects.put(
          "a bias added to the selection only instead of to the weights as well",
          stated.withBias(Routing.Bias.SELECTION_AND_WEIGHTS));
    }
    if (stated.normalisation() == null) {
      suspects.put("dropped normalisation", stated.withNormalisation(new Routing.Normalisation(0)));
    } else {
      suspects.put("normalisation that the reference does not do", stated.withNormalisation(null));
    }
    suspects.put(
        "routing scale %s applied twice".formatted(Figures.number(Math.sqrt(stated.scale()))),
        stated.withScale(Math.sqrt(stated.scale())));
    double scale = stated.scale() * ratio(stated);
    if (scale > 0 && Double.isFinite(scale)) {
      suspects.put(
          "routing scale %s instead of %s"
              .formatted(Figures.number(stated.scale()), Figures.number(scale)),
          stated.withScale(scale));
    }
    for (Routing.Score other : Routing.Score.values()) {
      suspects.put(scores(stated, other), stated.withScore(other));
    }
    return suspects.entrySet().stream()
        .filter(suspect -> weightsFit(suspect.getValue()))
        .map(Map.Entry::getKey)
        .findFirst();
  }

  /** How many times the reference's first weight is the package's. */
  private double ratio(Routing routing) {
    Layer first = layers.getFirst();
    Estimate own = first.route(routing, first.bias(), true, precision).weights();
    return first.weights().value(0, 0) / own.value(0, 0);
  }

  private boolean decisionsFit(Routing routing) {
    for (Layer layer : layers) {
      var selection = new Selection(routing, layer.route(routing, layer.bias(), false, precision));
      for (int t = 0; t < layer.experts().size(); t++) {
        Set<Integer> chosen = Selection.set(layer.experts().get(t));
        if (!selection.mayChoose(t, chosen)) {
          return false;
        }
      }
    }
    return true;
  }

  private boolean weightsFit(Routing routing) {
    return layers.stream()
        .allMatch(
            layer -> {
              Estimate own = layer.route(routing, layer.bias(), true, precision).weights();
              return Tolerance.compare(own.toFloats(), layer.weights().toFloats(), own)
                  .verdict()
                  .passed();
            });
  }

  private static String scores(Routing stated, Routing.Score other) {
    return "scores by %s instead of %s".formatted(words(stated.score()), words(other));
  }

  private static String words(Routing.Score score) {
    return score.name().toLowerCase(Locale.ROOT);
  }

  private static String words(Routing.Groups.Aggregate aggregate) {
    return switch (aggregate) {
      case MAXIMUM -> "maximum";
      case SUM_OF_TOP_TWO -> "sum of the top two";
    };
  }
}

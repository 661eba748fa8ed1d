package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward.MixtureOfExperts;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Routing.Groups;
import dev.moxie.verifier.diagnosis.Mistakes.Mistake;
import dev.moxie.verifier.report.Figures;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/**
 * What a routing equation may say instead of what it should.
 *
 * @param stated that of every layer with experts
 * @param experts of a layer
 */
record RoutingMistakes(Architecture model, Routing stated, int experts) {
  private Mistake mistake(String cause, Routing right) {
    return new Mistake(
        cause,
        model.withBlocks(
            b ->
                b.feedForward() instanceof MixtureOfExperts m && m.routing().equals(stated)
                    ? b.withFeedForward(m.withRouting(right))
                    : b));
  }

  /** Tolerances that a jitter of 0.01, as PhiMoE is released with, may become. */
  private static final double[] TOLERANCES = {0.02, 0.01, 0.04, 0};

  /** More tokens that an expert takes are not looked for. */
  private static final int MOST_TAKEN = 64;

  /** What leads to other experts. */
  List<Mistake> ofDecisions() {
    List<Mistake> mistakes = new ArrayList<>();
    if (stated.mixer() != null) {
      return mistakes;
    }
    if (stated.assigned()) {
      // Without a router there are no scores to choose by.
      if (stated.score() != Routing.Score.ONE) {
        Routing chosen = Parts.with(stated, "assigned", false);
        mistakes.add(mistake("experts by a table instead of by scores", chosen));
      }
      return mistakes;
    }
    if (stated.hierarchy() != null) {
      keptGroups(stated.hierarchy(), mistakes);
      return mistakes;
    }
    prototypes(mistakes);
    Groups groups = stated.groups();
    if (groups != null) {
      mistakes.add(mistake("groups that the reference does not have", stated.withGroups(null)));
      for (Groups.Aggregate other : Groups.Aggregate.values()) {
        if (groups.count() < experts || other == Groups.Aggregate.MAXIMUM) {
          mistakes.add(
              mistake(
                  "group aggregate by %s instead of %s"
                      .formatted(words(groups.aggregate()), words(other)),
                  grouped(groups.count(), groups.kept(), other, groups.maskValue())));
        }
      }
      otherCounts(groups, mistakes);
    } else if (stated.prototypes() == 0) {
      for (Groups.Aggregate aggregate : Groups.Aggregate.values()) {
        for (Limit limit : limits()) {
          mistakes.add(
              mistake(
                  "dropped groups: %d of %d by %s kept"
                      .formatted(limit.kept(), limit.count(), words(aggregate)),
                  grouped(
                      limit.count(), limit.kept(), aggregate, Groups.MaskValue.NEGATIVE_INFINITY)));
        }
      }
    }
    scores(mistakes);
    if (stated.hasBiasOfScores()) {
      mistakes.add(
          mistake("a selection bias that the reference does not have", stated.withBias(null)));
    }
    return mistakes;
  }

  /** Sets of experts that are chosen from apart, or not, or others. */
  private void prototypes(List<Mistake> mistakes) {
    int own = stated.prototypes();
    boolean none = stated.groups() != null || isOneSet();
    for (int count = 0; !none && count <= stated.expertsPerToken(); count++) {
      boolean fit = count == 0 || (count > 1 && experts % count == 0);
      if (fit && count != own && stated.expertsPerToken() % Math.max(1, count) == 0) {
        mistakes.add(
            mistake(
                count == 0
                    ? "prototypes that the reference does not have"
                    : "experts of %s instead of %d prototypes"
                        .formatted(own == 0 ? "one set" : own, count),
                stated.withPrototypes(count)));
      }
    }
  }

  /** Other numbers of groups that a primary gate keeps. */
  private void keptGroups(Routing.Hierarchy own, List<Mistake> mistakes) {
    int chosen = stated.expertsPerToken();
    for (int kept = 1; kept <= Math.min(own.groups(), chosen); kept++) {
      if (kept != own.kept() && chosen % kept == 0 && chosen / kept <= experts / own.groups()) {
        mistakes.add(
            mistake(
                "experts of %d instead of %d groups".formatted(own.kept(), kept),
                Parts.with(stated, "hierarchy", Parts.with(own, "kept", kept))));
      }
    }
  }

  private Routing grouped(
      int count, int kept, Groups.Aggregate aggregate, Groups.MaskValue maskValue) {
    return stated.withGroups(new Groups(count, kept, aggregate, maskValue));
  }

  /** Whether there is no parting experts, some of which have no weights, or all are of tasks. */
  private boolean isOneSet() {
    return model.runs().stream()
        .map(Architecture.Blocks::feedForward)
        .anyMatch(
            f ->
                f instanceof MixtureOfExperts m
                    && m.routing().equals(stated)
                    && (m.identities() > 0 || m.byTask()));
  }

  private record Limit(int count, int kept) {}

  /** Every number of groups and of kept ones that the experts could be limited by. */
  private List<Limit> limits() {
    List<Limit> limits = new ArrayList<>();
    for (int count = 2; !isOneSet() && count <= experts / 2; count++) {
      for (int kept = 1; kept < count && experts % count == 0; kept++) {
        if ((long) kept * (experts / count) >= stated.expertsPerToken()) {
          limits.add(new Limit(count, kept));
        }
      }
    }
    return limits;
  }

  /** Other numbers of groups, those first that keep the same share. */
  private void otherCounts(Groups groups, List<Mistake> mistakes) {
    var own = new Limit(groups.count(), groups.kept());
    limits().stream()
        .filter(limit -> !limit.equals(own))
        .sorted(
            Comparator.comparing(limit -> limit.kept() * own.count() != own.kept() * limit.count()))
        .map(
            limit ->
                mistake(
                    "wrong group count: %d of %d groups kept instead of %d of %d"
                        .formatted(own.kept(), own.count(), limit.kept(), limit.count()),
                    grouped(limit.count(), limit.kept(), groups.aggregate(), groups.maskValue())))
        .forEach(mistakes::add);
  }

  /**
   * What leads to other weights of the same experts.
   *
   * @param ratio how many times the reference's weights are the package's
   */
  List<Mistake> ofWeights(double ratio) {
    List<Mistake> mistakes = new ArrayList<>();
    if (stated.bias() == Routing.Bias.SELECTION_AND_WEIGHTS) {
      mistakes.add(
          mistake(
              "a bias added to the weights instead of to the selection only",
              stated.withBias(Routing.Bias.SELECTION)));
    } else if (stated.hasBiasOfScores()) {
      mistakes.add(
          mistake(
              "a bias added to the selection only instead of to the weights as well",
              stated.withBias(Routing.Bias.SELECTION_AND_WEIGHTS)));
    }
    mixers(mistakes);
    // Gates of two levels say all of how weights come about.
    boolean flat = stated.hierarchy() == null;
    if (flat
        && stated.mixer() == null
        && stated.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_OUTPUT) {
      drops(mistakes);
    }
    if (stated.logitCap() != null) {
      mistakes.add(
          mistake(
              "a cap of router logits that the reference does not have",
              Parts.with(stated, "logitCap", null)));
    }
    if (flat && stated.mixer() == null) {
      mistakes.add(
          stated.normalisation() == null
              ? mistake("dropped normalisation", stated.withNormalisation(normalisation()))
              : mistake(
                  "normalisation that the reference does not do", stated.withNormalisation(null)));
    }
    double root = Math.sqrt(stated.scale());
    mistakes.add(
        mistake(
            "routing scale %s applied twice".formatted(Figures.number(root)),
            stated.withScale(root)));
    double scale = stated.scale() * ratio;
    if (scale > 0 && Double.isFinite(scale)) {
      mistakes.add(
          mistake(
              "routing scale %s instead of %s"
                  .formatted(Figures.number(stated.scale()), Figures.number(scale)),
              stated.withScale(scale)));
    }
    scores(mistakes);
    return mistakes;
  }

  private void scores(List<Mistake> mistakes) {
    if (stated.mixer() != null
        || stated.score() == Routing.Score.ONE
        || stated.hierarchy() != null) {
      return;
    }
    Arrays.stream(Routing.Score.values())
        .filter(other -> other != Routing.Score.IDENTITY && other != Routing.Score.ONE)
        .map(
            other ->
                mistake(
                    "scores by %s instead of %s".formatted(words(stated.score()), words(other)),
                    stated.withScore(other)))
        .forEach(mistakes::add);
  }

  /** Sums may be 0 where all of a token's choices are dropped. */
  private Routing.Normalisation normalisation() {
    return stated.drops() == null
        ? new Routing.Normalisation(0)
        : new Routing.Normalisation(0, (double) Math.ulp(1f));
  }

  /** Choices that are dropped, or others that are. */
  private void drops(List<Mistake> mistakes) {
    Routing.Drops own = stated.drops();
    boolean after = own != null && own.afterNormalisation();
    if (own != null) {
      mistakes.add(mistake("choices dropped that the reference keeps", stated.withDrops(null)));
      if (stated.normalisation() != null) {
        mistakes.add(
            mistake(
                "choices dropped %s instead of %s weights are normalised"
                    .formatted(after ? "after" : "before", after ? "before" : "after"),
                dropping(Parts.with(own, "afterNormalisation", !after))));
      }
    }
    for (int taken = 1; taken <= MOST_TAKEN; taken++) {
      Routing right = dropping(new Routing.Drops(taken, null, after));
      mistakes.add(
          mistake(
              own == null
                  ? "choices kept beyond the %d that an expert takes".formatted(taken)
                  : "experts that take %s instead of %d tokens".formatted(taken(own), taken),
              right));
    }
  }

  private static String taken(Routing.Drops drops) {
    return drops.fraction() == null
        ? String.valueOf(drops.tokens())
        : Figures.number(drops.fraction()) + " of all";
  }

  /** Weights that no sum is left of are 0. */
  private Routing dropping(Routing.Drops drops) {
    Routing.Normalisation n = stated.normalisation();
    return (n == null || n.divisor(0) > 0 || drops.afterNormalisation()
            ? stated
            : stated.withNormalisation(new Routing.Normalisation(n.epsilon(), Math.ulp(1.0))))
        .withDrops(drops);
  }

  /** Weights by a mixer, or by another. */
  private void mixers(List<Mistake> mistakes) {
    Routing.Mixer own = stated.mixer();
    if (own != null) {
      mistakes.add(
          mistake("weights among near experts instead of among all", stated.withMixer(null)));
    }
    boolean none =
        stated.assigned()
            || stated.prototypes() > 0
            || stated.drops() != null
            || stated.hierarchy() != null;
    for (double tolerance : none ? new double[0] : TOLERANCES) {
      var other = new Routing.Mixer(tolerance);
      if (!other.equals(own)) {
        mistakes.add(
            mistake(
                own == null
                    ? "weights among all experts instead of among near ones"
                    : "%s as the tolerance of near experts instead of %s"
                        .formatted(Figures.number(own.tolerance()), Figures.number(tolerance)),
                stated.withMixer(other)));
      }
    }
  }

  private static String words(Routing.Score score) {
    return score.name().toLowerCase(Locale.ROOT);
  }

  private static String words(Groups.Aggregate aggregate) {
    return switch (aggregate) {
      case MAXIMUM -> "maximum";
      case SUM_OF_TOP_TWO -> "sum of the top two";
    };
  }
}

package dev.moxie.verifier.routing;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.LongStream;
import org.apache.commons.statistics.distribution.TDistribution;
import org.jspecify.annotations.Nullable;

/** Adds up which experts of one layer each text chose, in memory that does not grow with tokens. */
final class TextTally {
  /** How many layers of a report would, by chance alone, have any difference that is told. */
  static final double CHANCE = 0.01;

  private final int layer;
  private final int experts;
  private final Map<String, BlockTally> texts = new LinkedHashMap<>();
  private @Nullable BlockTally current;

  TextTally(int layer, int experts) {
    this.layer = layer;
    this.experts = experts;
  }

  /** Begins a sequence. */
  void begin(String text) {
    current = texts.computeIfAbsent(text, name -> new BlockTally(experts));
    current.begin();
  }

  /** Adds the next token of the sequence. */
  void add(int[] chosen) {
    Objects.requireNonNull(current, "no sequence was begun").add(chosen);
  }

  LayerTexts texts() {
    List<TextUse> uses = new ArrayList<>();
    texts.forEach((name, tally) -> uses.add(use(name, tally)));
    return new LayerTexts(layer, uses);
  }

  private TextUse use(String name, BlockTally text) {
    var others = new BlockTally(experts);
    texts.values().stream().filter(other -> other != text).forEach(others::add);
    long fewer = Math.min(text.blocks(), others.blocks());
    List<Preference> more = new ArrayList<>();
    List<Preference> less = new ArrayList<>();
    if (fewer > 1) {
      double bound =
          TDistribution.of((double) fewer - 1)
              .inverseSurvivalProbability(CHANCE / (2.0 * experts * texts.size()));
      for (int e = 0; e < experts; e++) {
        double difference = text.mean(e) - others.mean(e);
        if (Math.abs(difference) > bound * error(text, others, e)) {
          var found = new Preference(e, text.share(e), others.share(e));
          (difference > 0 ? more : less).add(found);
        }
      }
    }
    Comparator<Preference> largest =
        Comparator.comparingDouble(found -> -Math.abs(found.share() - found.elsewhere()));
    more.sort(largest);
    less.sort(largest);
    return new TextUse(
        name,
        text.tokens(),
        LongStream.range(0, experts).map(e -> text.count((int) e)).boxed().toList(),
        text.blocks(),
        fewer > 1,
        more,
        less);
  }

  /**
   * Standard error of the difference of two means, were every token of either drawn alone, at
   * least.
   */
  private static double error(BlockTally text, BlockTally others, int expert) {
    double p =
        (double) (text.count(expert) + others.count(expert)) / (text.tokens() + others.tokens());
    double least = BlockTally.TOKENS * p * (1 - p);
    return Math.sqrt(text.varianceOfMean(expert, least) + others.varianceOfMean(expert, least));
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * GShard (Lepikhin et al., "GShard: Scaling Giant Models with Conditional Computation and Automatic
 * Sharding", 2020): experts by equations 1 to 3, two for each token by algorithm 1, which divides
 * weights by their sum (lines 6 and 16) before it drops choices (lines 8 and 19), first ones of all
 * tokens before second ones. A sequence is one of its groups, and an expert takes 2N/(G·E) of the
 * N/G tokens of one. That line 19 drops second choices at random as well is of training.
 */
final class GShard {
  private static final int CHOSEN = 2;

  static final Family FAMILY =
      new Family(
          "gshard",
          "GShardForConditionalGeneration",
          Papers.TRANSLATION,
          GShard::model,
          List.of(PaperNames.TRANSLATION));

  private GShard() {}

  private static Architecture model(Settings c) {
    return Papers.translation(c, routing(c));
  }

  /** Algorithm 1. */
  static Routing routing(Settings c) {
    return Papers.routing(c, CHOSEN)
        .withNormalisation(new Routing.Normalisation(0))
        .withDrops(Papers.drops(c, CHOSEN, true));
  }
}

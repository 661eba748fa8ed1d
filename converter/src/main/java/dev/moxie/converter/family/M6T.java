package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import java.util.List;

/**
 * M6-T (Yang et al., "M6-T: Exploring Sparse Expert Models and Beyond", 2021): expert prototyping
 * parts the experts of a layer into Z sets, from each of which a token has the best one, by a
 * softmax over the set and weighed by it; what all Z make is added up. An expert takes the capacity
 * factor times Z T / E of a text's T tokens.
 */
final class M6T {
  private static final Key<Integer> PROTOTYPES =
      Key.count("num_prototypes", Limits.MAX_EXPERTS, "sets of experts, one of each for a token");

  static final Family FAMILY =
      new Family(
          "m6_t",
          "M6TForCausalLM",
          Papers.DECODER.and(PROTOTYPES),
          M6T::model,
          List.of(PaperNames.DECODER));

  private M6T() {}

  private static Architecture model(Settings c) {
    int experts = c.get(Experts.COUNT);
    int prototypes = c.atMost(PROTOTYPES, experts);
    if (experts % prototypes != 0) {
      throw c.wrong(PROTOTYPES, "a divisor of %d experts".formatted(experts), prototypes);
    }
    var routing = Papers.routing(c, prototypes).withDrops(Papers.drops(c, prototypes, false));
    return Papers.decoder(
        c, Papers.experts(c, prototypes == 1 ? routing : routing.withPrototypes(prototypes)));
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * Tutel (Hwang et al., "Tutel: Adaptive Mixture-of-Experts at Scale", 2022): a router that goes by
 * the angles between a projection of a token and the experts' rows (microsoft/tutel {@code
 * tutel/gates/cosine_top.py}), the k best of its softmax, of several divided by their sum ({@code
 * tutel/impls/fast_dispatch.py}). Its capacity adapts to the fullest expert (capacity_factor 0), so
 * that none drops a token; other factors are refused.
 */
final class Tutel {
  /** What the code holds the factor of cosines to. */
  private static final double MOST = 100;

  private static final Key<Integer> SIZE =
      Key.count("proj_dim", Limits.MAX_WIDTH, "width that angles are taken in").or(256);

  static final Family FAMILY =
      new Family(
          "tutel",
          "TutelForCausalLM",
          Papers.DECODER
              .without(Papers.CAPACITY)
              .and(SIZE, Experts.PER_TOKEN)
              .and(Key.notNegative("capacity_factor", "0 where capacity adapts").only(0.0)),
          Tutel::model,
          List.of(PaperNames.DECODER));

  private Tutel() {}

  private static Architecture model(Settings c) {
    int chosen = c.atMost(Experts.PER_TOKEN, c.get(Experts.COUNT));
    var divided = new Routing.Normalisation(0, (double) Math.ulp(1f));
    var routing = Papers.routing(c, chosen).withNormalisation(chosen == 1 ? null : divided);
    return Papers.decoder(
        c, Papers.experts(c, Parts.with(routing, "cosine", new Routing.Cosine(c.get(SIZE), MOST))));
  }
}

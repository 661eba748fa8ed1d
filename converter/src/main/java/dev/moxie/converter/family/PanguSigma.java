package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * PanGu-Sigma (Ren et al., "PanGu-Σ: Towards Trillion Parameter Language Model with Sparse
 * Heterogeneous Computing", 2023): above layers without experts such with Random Routed Experts,
 * where a token's expert is what a table, drawn once, has for its id, and no gate is learned. The
 * table is that of one domain, as the sub-model has it that the paper deploys. GELU is that of
 * PanGu-α, from which it grew; that one's query layer is not described.
 */
final class PanguSigma {
  static final Family FAMILY =
      new Family(
          "pangu_sigma",
          "PanguSigmaForCausalLM",
          Papers.DECODER
              .without(Papers.CAPACITY, Experts.STEP)
              .and(Experts.DENSE_FIRST.spelled("num_dense_layers")),
          PanguSigma::model,
          List.of(PaperNames.DECODER));

  private PanguSigma() {}

  private static Architecture model(Settings c) {
    var gelu = FeedForward.Activation.GELU_TANH;
    var assigned = Parts.with(Papers.routing(c, 1), "assigned", true);
    var table = assigned.withScore(Routing.Score.ONE);
    FeedForward experts = Parts.with(Papers.experts(c, table), "activation", gelu);
    FeedForward dense = Parts.with(Papers.dense(c), "activation", gelu);
    int first = c.get(Experts.DENSE_FIRST);
    return Papers.decoder(c, i -> i < first ? dense : experts);
  }
}

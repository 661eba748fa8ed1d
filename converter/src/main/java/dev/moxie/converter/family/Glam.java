package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import java.util.List;

/**
 * GLaM (Du et al., "GLaM: Efficient Scaling of Language Models with Mixture-of-Experts", 2021,
 * section 4): a decoder whose every other layer has experts, two of them for each token by GShard's
 * algorithm 1; each layer has biases by relative position of its own instead of positions, and the
 * networks of layers without experts have gates that GELU opens. The paper gives no equation of the
 * biases, which it has from Transformer-XL (Dai et al., 2019); here they are T5's (Raffel et al.,
 * 2020, section 2.1).
 */
final class Glam {
  static final Family FAMILY =
      new Family(
          "glam",
          "GlamForCausalLM",
          Papers.DECODER.and(Distances.KEYS),
          Glam::model,
          List.of(PaperNames.DECODER));

  private Glam() {}

  private static Architecture model(Settings c) {
    var attention = Parts.with(Papers.attention(c), "distances", Distances.of(c, true));
    var gated = new FeedForward.Dense(c.get(Experts.WIDTH), FeedForward.Activation.GELU_TANH);
    var experts = Papers.experts(c, GShard.routing(c));
    return Papers.normed(
        Llama.model(c, i -> attention, i -> Experts.isTurn(c, i) ? experts : gated));
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import java.util.List;

/**
 * GLM-4.7-Flash (transformers {@code models/glm4_moe_lite/modeling_glm4_moe_lite.py}):
 * DeepSeek-V3's attention and experts; which layers have experts, a list says.
 */
final class Glm4Lite {
  static final Family FAMILY =
      new Family(
          "glm4_moe_lite",
          "Glm4MoeLiteForCausalLM",
          Latent.KEYS
              .and(DeepSeekV3.INTERLEAVED, Experts.KINDS)
              .and(DeepSeekV3.EXPERTS)
              .and(Experts.DENSE_FIRST.orNone(), Experts.SCALE.or(1.8))
              .and(Experts.GROUPS.or(1), Experts.KEPT_GROUPS.or(1)),
          Glm4Lite::model,
          List.of(Names.released(Names.LLAMA, Names.LATENT, Names.DEEPSEEK)));

  private Glm4Lite() {}

  private static Architecture model(Settings c) {
    var attention = Latent.attention(c, DeepSeekV3.pairing(c));
    var experts = Experts.of(c, DeepSeekV3.routing(c));
    var dense = Experts.withoutExperts(c, 1);
    var model = Llama.model(c, i -> attention, i -> dense.test(i) ? Experts.dense(c) : experts);
    return Experts.predicting(c, model, attention, experts);
  }
}

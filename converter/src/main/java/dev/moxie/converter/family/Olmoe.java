package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import java.util.List;
import java.util.Set;

/**
 * OLMoE-1B-7B (Muennighoff et al., "OLMoE: Open Mixture-of-Experts Language Models", 2024;
 * transformers {@code models/olmoe/modeling_olmoe.py}): queries and keys are normed over all heads.
 */
final class Olmoe {
  static final Family FAMILY =
      new Family(
          "olmoe",
          Set.of("olmoe"),
          "OlmoeForCausalLM",
          Olmoe::architecture,
          List.of(Layout.of("released", Names.join(Names.LLAMA, Names.EXPERTS))),
          null);

  private Olmoe() {}

  private static Architecture architecture(Config config) {
    var attention =
        Llama.normed(
            Llama.biased(Llama.attention(config), config.flag("attention_bias", false), true),
            Attention.NormSpan.ALL_HEADS,
            config);
    if (config.has("clip_qkv")) {
      attention = Parts.with(attention, "clip", config.positive("clip_qkv"));
    }
    int experts =
        config.count(config.either("num_experts", "num_local_experts"), Limits.MAX_EXPERTS);
    var routing =
        Llama.softmax(
            config.count("num_experts_per_tok", experts), config.flag("norm_topk_prob", false));
    var mixture = Llama.experts(config, experts, "intermediate_size", routing, null);
    var clipped = attention;
    return Llama.model(config, Layers.of(Llama.layers(config), i -> clipped, i -> mixture));
  }
}

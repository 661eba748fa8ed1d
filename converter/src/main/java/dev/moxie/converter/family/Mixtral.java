package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import java.util.List;
import java.util.Set;

/**
 * Mixtral 8x7B, 8x22B and what is trained in their shape (Jiang et al., "Mixtral of Experts", 2024;
 * transformers {@code models/mixtral/modeling_mixtral.py}).
 */
final class Mixtral {
  private static final Layout RELEASED =
      Layout.of("released", Names.join(Names.LLAMA, Names.BLOCK_SPARSE));

  static final Family FAMILY =
      new Family(
          "mixtral",
          Set.of("mixtral"),
          "MixtralForCausalLM",
          Mixtral::architecture,
          List.of(RELEASED, Names.fused(RELEASED)),
          null);

  private Mixtral() {}

  private static Architecture architecture(Config config) {
    if (!config.flag("norm_topk_prob", true)) {
      throw config.unsupported("norm_topk_prob", "true, as Mixtral has it", "false");
    }
    int experts = config.count("num_local_experts", Limits.MAX_EXPERTS);
    var routing = Llama.softmax(config.count("num_experts_per_tok", experts), true);
    var mixture = Llama.experts(config, experts, "intermediate_size", routing, null);
    Integer window = config.countOrNull("sliding_window", Integer.MAX_VALUE);
    var attention = Llama.alike(config, Llama.attention(config), window);
    return Llama.model(config, Layers.of(Llama.layers(config), i -> attention, i -> mixture));
  }
}

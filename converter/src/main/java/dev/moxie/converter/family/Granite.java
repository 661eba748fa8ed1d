package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import java.util.List;
import java.util.Set;

/**
 * Granite 3 MoE (IBM, "Granite 3.0 Language Models", 2024; transformers {@code
 * models/granitemoe/modeling_granitemoe.py}): four multipliers; the softmax goes over the chosen
 * experts alone, which is the one over all of them divided by the sum of the chosen.
 */
final class Granite {
  private static final String EXPERTS = "model.layers.{layer}.block_sparse_moe.";

  private static final Layout LAYOUT =
      Layout.of(
              "released",
              Names.join(Names.LLAMA, Names.weights("router", "block_sparse_moe.router.layer")))
          .and("experts.gate_up.weight", EXPERTS + "input_linear.weight", Arrangement.HALVES)
          .and("experts.down.weight", EXPERTS + "output_linear.weight", Arrangement.STACKED);

  static final Family MOE =
      new Family(
          "granitemoe",
          Set.of("granitemoe"),
          "GraniteMoeForCausalLM",
          Granite::architecture,
          List.of(LAYOUT),
          null);

  private Granite() {}

  private static Architecture architecture(Config config) {
    var biased = Llama.biased(Llama.attention(config), config.flag("attention_bias", false), true);
    var attention = biased.withScale(multiplier(config, "attention_multiplier"));
    int experts = config.count("num_local_experts", Limits.MAX_EXPERTS);
    var routing = Llama.softmax(config.count("num_experts_per_tok", experts), true);
    var mixture = Llama.experts(config, experts, "intermediate_size", routing, null);
    return Parts.with(
        Llama.model(config, Layers.of(Llama.layers(config), i -> attention, i -> mixture)),
        "multipliers",
        Architecture.Multipliers.of(
            multiplier(config, "embedding_multiplier"),
            multiplier(config, "residual_multiplier"),
            1 / multiplier(config, "logits_scaling")));
  }

  private static double multiplier(Config config, String key) {
    return config.has(key) ? config.positive(key) : 1;
  }
}

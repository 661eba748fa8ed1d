package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Set;

/**
 * gpt-oss-20b and -120b (OpenAI, "gpt-oss-120b and gpt-oss-20b Model Card", 2025; transformers
 * {@code models/gpt_oss/modeling_gpt_oss.py}): attention sinks, windows in every other layer,
 * clamped experts with biases.
 */
final class GptOss {
  /** Fixed in the class; the release states the limit as well. */
  private static final FeedForward.Clamp CLAMP = new FeedForward.Clamp(7, 1.702, 1);

  private static final String EXPERTS = "model.layers.{layer}.mlp.experts.";

  private static final Layout WITHOUT_EXPERTS =
      Layout.of(
              "without experts",
              Names.join(
                  Names.LLAMA,
                  Names.inLayer(
                      "attention.sinks", "self_attn.sinks",
                      "router.weight", "mlp.router.weight",
                      "router.bias", "mlp.router.bias")))
          .and(
              "experts.gate_up.bias", EXPERTS + "gate_up_proj_bias", Arrangement.BIASES_ALTERNATING)
          .and("experts.down.bias", EXPERTS + "down_proj_bias", Arrangement.BIASES);

  private static final Layout BF16 =
      WITHOUT_EXPERTS
          .as("bf16")
          .and(
              "experts.gate_up.weight",
              EXPERTS + "gate_up_proj",
              Arrangement.ALTERNATING_TRANSPOSED)
          .and("experts.down.weight", EXPERTS + "down_proj", Arrangement.STACKED_TRANSPOSED);

  /** As released: rows of blocks, which are not transposed. */
  private static final Layout MXFP4 =
      WITHOUT_EXPERTS
          .as("mxfp4")
          .and("experts.gate_up.weight", EXPERTS + "gate_up_proj_blocks", Arrangement.ALTERNATING)
          .and("experts.down.weight", EXPERTS + "down_proj_blocks", Arrangement.STACKED);

  static final Family FAMILY =
      new Family(
          "gpt_oss",
          Set.of("gpt_oss"),
          "GptOssForCausalLM",
          GptOss::architecture,
          List.of(BF16, MXFP4),
          null);

  private GptOss() {}

  private static Architecture architecture(Config config) {
    config.neutral("initial_context_length");
    if (!config.has("rope_parameters") && !config.has("rope_scaling")) {
      throw config.wrong("rope_scaling", "a value, since the class has YaRN without one", "none");
    }
    if (config.has("swiglu_limit") && config.positive("swiglu_limit") != CLAMP.limit()) {
      throw config.unsupported(
          "swiglu_limit", "" + CLAMP.limit(), "" + config.positive("swiglu_limit"));
    }
    var biased = Llama.biased(Llama.attention(config), config.flag("attention_bias", true), true);
    var attention = Parts.with(biased, "sinks", true);
    int experts = config.count("num_local_experts", Limits.MAX_EXPERTS);
    int k = config.count(config.either("num_experts_per_tok", "experts_per_token"), experts);
    var routing = Llama.softmax(k, true).withBias(Routing.Bias.LOGITS);
    var plain = Llama.experts(config, experts, "intermediate_size", routing, null);
    var mixture = Parts.with(Parts.with(plain, "biases", true), "clamp", CLAMP);
    Integer window = config.countOrNull("sliding_window", Integer.MAX_VALUE);
    return Llama.model(
        config,
        Layers.of(
            Llama.layers(config),
            Llama.windowed(config, attention, i -> i % 2 == 0, window),
            i -> mixture));
  }
}

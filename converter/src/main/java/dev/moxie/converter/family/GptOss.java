package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * gpt-oss-20b and -120b (OpenAI, "gpt-oss-120b and gpt-oss-20b Model Card", 2025; transformers
 * {@code models/gpt_oss/modeling_gpt_oss.py}): attention sinks, windows in every other layer,
 * clamped experts with biases.
 */
final class GptOss {
  private static final Key<Double> LIMIT =
      Key.positive("swiglu_limit", "what gates and products are held within").only(7.0);

  private static final String EXPERTS = "model.layers.{layer}.mlp.experts.";

  private static final Layout BF16 =
      Names.released(
              Names.LLAMA,
              Names.inLayer(
                  "attention.sinks", "self_attn.sinks",
                  "router.weight", "mlp.router.weight",
                  "router.bias", "mlp.router.bias"))
          .as("bf16")
          .and("experts.gate_up.bias", EXPERTS + "gate_up_proj_bias", Arrangement.ALTERNATING_BIAS)
          .and("experts.down.bias", EXPERTS + "down_proj_bias", Arrangement.BIASES)
          .and(
              "experts.gate_up.weight",
              EXPERTS + "gate_up_proj",
              Arrangement.ALTERNATING_TRANSPOSED)
          .and("experts.down.weight", EXPERTS + "down_proj", Arrangement.STACKED_TRANSPOSED);

  /** As released: rows of blocks, which are not transposed. */
  private static final Layout MXFP4 =
      BF16.as("mxfp4")
          .and("experts.gate_up.weight", EXPERTS + "gate_up_proj_blocks", Arrangement.ALTERNATING)
          .and("experts.down.weight", EXPERTS + "down_proj_blocks", Arrangement.STACKED);

  static final Family FAMILY =
      new Family(
          "gpt_oss",
          "GptOssForCausalLM",
          Llama.KEYS
              .and(Llama.BIASES.or(true), Llama.WINDOW, Llama.TYPES, LIMIT)
              .and(RotarySettings.SCALING.always())
              .and(Experts.KEYS)
              .and(
                  Experts.COUNT.spelled("num_local_experts"),
                  Experts.PER_TOKEN.spelled("num_experts_per_tok", "experts_per_token"),
                  Experts.WIDTH.spelled("intermediate_size"),
                  Experts.NORMALISED.constant(true))
              .neutral("repeats what rope_scaling says", "initial_context_length"),
          GptOss::model,
          List.of(BF16, MXFP4));

  private GptOss() {}

  private static Architecture model(Settings c) {
    var attention = Parts.with(Llama.attention(c), "sinks", true);
    var routing = Experts.softmax(c).withBias(Routing.Bias.LOGITS);
    var biased = Parts.with(Experts.of(c, routing), "biases", true);
    var clamp = new FeedForward.Clamp(c.get(LIMIT), 1.702, 1);
    var experts = Parts.with(biased, "clamp", clamp);
    return Llama.model(c, Llama.windowed(c, attention, i -> i % 2 == 0), i -> experts);
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Architecture.Multipliers;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * AFMoE, of Trinity (Arcee AI, 2025; transformers {@code models/afmoe/modeling_afmoe.py}): both
 * halves of a layer are normed before and after, what heads read is gated, and layers that see
 * everything know no positions.
 */
final class Afmoe {
  private static final Key<Boolean> SCALED =
      Key.flag("mup_enabled", "whether embeddings are multiplied by the root of their width")
          .or(false);

  static final Family FAMILY =
      new Family(
          "afmoe",
          "AfmoeForCausalLM",
          Llama.KEYS
              .and(Llama.HEAD_SIZE.or(128), Llama.BIASES, SCALED)
              .and(Llama.WINDOW.or(1024), Llama.TYPES)
              .and(Llama.PERIOD.spelled("global_attn_every_n_layers").or(4))
              .and(Experts.KEYS)
              .and(Experts.NORMALISED.constant(true), Experts.SCALE.spelled("route_scale").or(1.0))
              .and(Experts.SHARED.spelled("num_shared_experts").or(2), Experts.DENSE_WIDTH)
              .and(Experts.DENSE_FIRST.spelled("num_dense_layers").or(1)),
          Afmoe::model,
          List.of(
              Names.released(
                  Names.LLAMA,
                  Names.DEEPSEEK,
                  Names.inLayer("router.bias", "mlp.expert_bias"),
                  Names.weights(
                      "attention.output_gate", "self_attn.gate_proj",
                      "attention_output_norm", "post_attention_layernorm",
                      "feed_forward_norm", "pre_mlp_layernorm",
                      "feed_forward_output_norm", "post_mlp_layernorm",
                      "router", "mlp.router.gate"))));

  private Afmoe() {}

  private static Architecture model(Settings c) {
    var normed = Llama.normed(c, Llama.attention(c), Attention.NormSpan.HEAD);
    var gate = new Attention.Gate(Attention.Opening.SIGMOID, false);
    var near = Parts.with(normed, "gate", gate);
    IntPredicate windows = Llama.listed(c, Llama.WINDOWED, i -> (i + 1) % c.get(Llama.PERIOD) != 0);
    var routing =
        Experts.route(c, Routing.Score.SIGMOID)
            .withBias(Routing.Bias.SELECTION)
            .withNormalisation(DeepSeekV3.normalisation(c))
            .withScale(c.get(Experts.SCALE));
    var plain = Experts.model(c, Llama.turnedNear(c, near, windows), Experts.of(c, routing));
    double scale = c.get(SCALED) ? Math.sqrt(c.get(Llama.HIDDEN)) : 1;
    var placed = Parts.with(plain, "normPlacement", NormPlacement.INPUT_AND_OUTPUT);
    return Parts.with(placed, "multipliers", Multipliers.of(scale, 1, 1));
  }
}

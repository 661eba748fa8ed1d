package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * Hy3 (Tencent, 2026; transformers {@code models/hy_v3/modeling_hy_v3.py}): queries and keys are
 * normed head by head, a bias steers the choice of experts, whose weights are normalised and then
 * scaled.
 */
final class HunyuanV3 {
  /** The class never reads the layer after so many. */
  private static final int MOST_LAYERS = 80;

  static final Family FAMILY =
      new Family(
              "hy_v3",
              "HYV3ForCausalLM",
              Llama.KEYS
                  .and(Key.count("num_hidden_layers", MOST_LAYERS, Llama.LAYERS.meaning()))
                  .and(RotarySettings.THETA.or(11_158_840.0), Llama.BIASES)
                  .and(Llama.NORMED.spelled("qk_norm").only(true))
                  .and(DeepSeekV2.EXPERTS.without(Experts.GROUPS, Experts.KEPT_GROUPS))
                  .and(Experts.COUNT.spelled("num_experts"), Experts.KINDS)
                  .and(Experts.WIDTH.spelled("moe_intermediate_size", "expert_hidden_dim"))
                  .and(Experts.SHARED.spelled("num_shared_experts").or(1))
                  .and(Experts.SCALE.spelled("router_scaling_factor").or(2.826))
                  .and(Experts.NORMALISED.constant(true), Experts.DENSE_FIRST.or(1))
                  .neutral("how sums are rounded", "enable_moe_fp32_combine")
                  .neutral("layers that are not loaded", "num_nextn_predict_layers"),
              HunyuanV3::model,
              List.of(
                  Names.released(
                      Names.LLAMA,
                      Names.DENSE,
                      Names.EXPERTS,
                      Names.gated("shared", "mlp.shared_mlp."),
                      Names.weights("router", "mlp.router.gate"),
                      Names.inLayer("router.bias", "mlp.expert_bias"))))
          .notLoading("model.layers." + MOST_LAYERS + ".");

  private HunyuanV3() {}

  private static Architecture model(Settings c) {
    var attention = Llama.normed(c, Llama.attention(c), Attention.NormSpan.HEAD);
    var routing =
        Experts.route(c, Routing.Score.SIGMOID)
            .withBias(Routing.Bias.SELECTION)
            .withNormalisation(DeepSeekV3.normalisation(c))
            .withScale(c.get(Experts.SCALE));
    var shared = new FeedForward.SharedExperts(c.get(Experts.SHARED) * c.get(Experts.WIDTH));
    var experts = Experts.of(c, routing, shared);
    var dense = Experts.withoutExperts(c, 1);
    return Llama.model(c, i -> attention, i -> dense.test(i) ? Experts.dense(c) : experts);
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import java.util.List;
import java.util.Map;
import java.util.function.IntPredicate;

/**
 * Kimi-Linear-48B-A3B (Kimi Team, "Kimi Linear", 2025; transformers {@code
 * models/kimi_linear/modeling_kimi_linear.py}): Kimi delta attention in three layers of four,
 * latent attention without positions in the others, DeepSeek-V3's routing.
 */
final class KimiLinear {
  private static final String NETWORK = "block_sparse_moe.";
  private static final Map<String, String> NAMES =
      Names.join(
          Names.LLAMA,
          Names.LATENT,
          Names.DENSE,
          Names.BLOCK_SPARSE,
          Names.gated("shared", NETWORK + "shared_experts."),
          Names.inLayer("router.bias", NETWORK + "gate.e_score_correction_bias"));

  static final Family FAMILY =
      new Family(
          "kimi_linear",
          "KimiLinearForCausalLM",
          Latent.KEYS
              .without(RotarySettings.THETA, RotarySettings.PARTIAL, RotarySettings.SCALING)
              .neutral("what no layer turns by", "rope_theta", "rope_scaling")
              .and(KimiDelta.KEYS)
              .and(Llama.POSITIONS.spelled("model_max_length", "max_position_embeddings"))
              .and(Llama.TIED.only(false))
              .and(Key.flag("mla_use_nope", "whether no position turns anything").only(true))
              .and(Experts.KEYS)
              .and(Experts.COUNT.spelled("num_experts", "num_local_experts"))
              .and(Experts.PER_TOKEN.spelled("num_experts_per_token", "num_experts_per_tok"))
              .and(Experts.NORMALISED.spelled("moe_renormalize", "norm_topk_prob").or(true))
              .and(Experts.SHARED.spelled("num_shared_experts", "n_shared_experts").always())
              .and(Experts.SCALE, Experts.DENSE_WIDTH, Experts.KINDS, Experts.DENSE_FIRST.or(1))
              .and(Experts.GROUPS.spelled("num_expert_group", "n_group").or(1))
              .and(Experts.KEPT_GROUPS.or(1), Experts.PREDICTION.only(0), DeepSeekV2.FREQUENCY)
              .and(Key.text("moe_router_activation_func", "score of an expert").only("sigmoid"))
              .and(Key.flag("use_grouped_topk", "whether groups limit the choice").only(true)),
          KimiLinear::model,
          List.of(
              KimiDelta.released(NAMES),
              KimiDelta.released(Names.join(NAMES, Names.gated("dense", NETWORK)))
                  .as("transformers 5")));

  private KimiLinear() {}

  private static Architecture model(Settings c) {
    IntPredicate states = KimiDelta.states(c);
    var delta = KimiDelta.attention(c);
    var latent = Latent.unturned(c);
    var experts = Experts.of(c, DeepSeekV3.routing(c));
    return Experts.model(c, i -> states.test(i) ? delta : latent, experts);
  }
}

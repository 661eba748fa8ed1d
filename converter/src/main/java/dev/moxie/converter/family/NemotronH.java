package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import java.util.Set;

/**
 * Nemotron-H with experts (NVIDIA, "Nemotron 3 Nano", 2025; transformers {@code
 * models/nemotron_h/modeling_nemotron_h.py}): a layer is {@link Kinds one half} of what others are,
 * attention goes without positions, and no network has a gate.
 */
final class NemotronH {
  private static final Key<Double> LEAST =
      Key.notNegative("time_step_min", "what steps of a state in time are at least")
          .spelled("time_step_min", "mamba_dt_min")
          .or(0.001);
  private static final Key<Integer> SIZE =
      Key.count("mamba_head_dim", Limits.MAX_WIDTH, "columns of a state").or(64);
  private static final Key<Integer> SHARED =
      Key.count("moe_shared_expert_intermediate_size", Limits.MAX_WIDTH, "width of shared experts")
          .or(7688);
  private static final Key<String> SQUARED =
      Key.word("hidden_act", "what is inside networks", Set.of("relu2"));

  private static final Keys KEYS =
      Kinds.KEYS
          .and(Llama.VOCABULARY, Llama.HIDDEN, Llama.POSITIONS.or(4096), Llama.TIED.only(false))
          .and(Llama.EPSILON.spelled("layer_norm_epsilon").or(1e-5), Llama.BIASES.only(false))
          .and(Llama.HEADS.or(32), Llama.KEY_HEADS.or(8), Llama.HEAD_SIZE.or(128))
          .and(Mamba.NVIDIA.and(SIZE, LEAST))
          .and(DeepSeekV3.EXPERTS.without(Experts.DENSE_FIRST))
          .and(SQUARED.spelled("mlp_hidden_act").or("relu2"), SHARED, Experts.SCALE.or(1.0))
          .and(Experts.GROUPS.or(1), Experts.KEPT_GROUPS.or(1), Experts.DENSE_WIDTH.or(21504))
          .and(Experts.COUNT.spelled("n_routed_experts", "num_local_experts").or(8))
          .and(Experts.PER_TOKEN.or(2), Experts.WIDTH.or(7688), Experts.SHARED.only(1))
          .and(Key.flag("mlp_bias", "biases of networks").only(false))
          .and(Key.whole("moe_latent_size", 0, 0, "width that experts take tokens in").only(0))
          .neutral("what no layer turns by", "rope_theta", "partial_rotary_factor")
          .neutral("of prediction", "mtp_layers_block_type", "mtp_hybrid_override_pattern")
          .neutral("how experts are run", "moe_shared_expert_overlap");

  static final Family FAMILY =
      new Family("nemotron_h", "NemotronHForCausalLM", KEYS, NemotronH::model, Names.NEMOTRON)
          .notLoading("mtp.");

  private NemotronH() {}

  private static Architecture model(Settings c) {
    var states = Parts.with(Mamba.of(c, c.get(SIZE)), "normGroups", c.get(Mamba.GROUPS));
    Attention mamba = Parts.with(states, "leastStep", c.get(LEAST));
    Attention attention = Llama.attention(c, null);
    FeedForward dense = Parts.with(Experts.dense(c), "ungated", true);
    var shared = new FeedForward.SharedExperts(c.get(SHARED));
    var gated = Experts.of(c, DeepSeekV3.routing(c), shared);
    return Kinds.model(c, mamba, attention, dense, Parts.with(gated, "ungated", true));
  }
}

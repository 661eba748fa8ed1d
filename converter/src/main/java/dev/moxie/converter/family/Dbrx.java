package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * DBRX (Databricks, "Introducing DBRX", 2024; transformers {@code models/dbrx/modeling_dbrx.py}):
 * centred norms, clipped queries, keys and values, and config.json in objects of its own.
 */
final class Dbrx {
  /** {@code null} says that weights are left as they are. */
  private static final Key<Double> NORM =
      Key.positive("ffn_config.moe_normalize_expert_weights", "norm that weights are divided by")
          .only(1.0)
          .orNull();

  private static final Key<Double> THETA =
      RotarySettings.THETA.spelled("attn_config.rope_theta", "rope_parameters.rope_theta");

  private static final String LAYER = "transformer.blocks.{layer}.";
  private static final String EXPERTS = LAYER + "ffn.experts.mlp.";

  private static final Layout RELEASED =
      Names.released(
              Names.ends("transformer.wte", "transformer.norm_f", "lm_head"),
              Names.under(
                  LAYER,
                  Names.weights(
                      "attention_norm", "norm_attn_norm.norm_1",
                      "attention.output", "norm_attn_norm.attn.out_proj",
                      "feed_forward_norm", "norm_attn_norm.norm_2",
                      "router", "ffn.router.layer")))
          .joined(LAYER + "norm_attn_norm.attn.Wqkv.weight", Names.QUERY_KEY_VALUE)
          .and("experts.gate.weight", EXPERTS + "w1", Arrangement.FLAT)
          .and("experts.up.weight", EXPERTS + "v1", Arrangement.FLAT)
          .and("experts.down.weight", EXPERTS + "w2", Arrangement.FLAT_TRANSPOSED);

  static final Family FAMILY =
      new Family(
          "dbrx",
          "DbrxForCausalLM",
          Llama.KEYS
              .without(Llama.HEAD_SIZE)
              .and(Llama.HIDDEN.spelled("d_model"), Llama.POSITIONS.spelled("max_seq_len"))
              .and(Llama.LAYERS.spelled("n_layers"), Llama.HEADS.spelled("n_heads"))
              .and(Llama.KEY_HEADS.spelled("attn_config.kv_n_heads").or(1))
              .and(Llama.CLIP.spelled("attn_config.clip_qkv"), Llama.EPSILON.constant(1e-5))
              .and(THETA, RotarySettings.SCALING.spelled("rope_parameters"))
              .and(Experts.KEYS.without(Experts.NORMALISED))
              .and(Experts.ACTIVATION.spelled("ffn_config.ffn_act_fn.name").or("silu"))
              .and(Experts.COUNT.spelled("ffn_config.moe_num_experts"))
              .and(Experts.PER_TOKEN.spelled("ffn_config.moe_top_k"))
              .and(Experts.WIDTH.spelled("ffn_config.ffn_hidden_size"), NORM)
              .and(Key.flag("ffn_config.uniform_expert_assignment", "experts in turn").only(false))
              .configs("attn_config", "ffn_config")
              .neutral("in training alone", "emb_pdrop", "resid_pdrop", "attn_config.attn_pdrop")
              .neutral(
                  "in training alone", "ffn_config.moe_jitter_eps", "ffn_config.moe_loss_weight")
              .neutral("said elsewhere", "num_key_value_heads", "ffn_config.hidden_size"),
          Dbrx::model,
          List.of(RELEASED));

  private Dbrx() {}

  private static Architecture model(Settings c) {
    var norm = c.find(NORM) == null ? null : new Routing.Normalisation(0);
    var experts = Experts.of(c, Experts.softmax(c).withNormalisation(norm));
    return Parts.with(Llama.model(c, Llama.attention(c), experts), "centredNorms", true);
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Map;

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

  private static final String LAYER = "transformer.blocks.{layer}.";
  private static final String EXPERTS = LAYER + "ffn.experts.mlp.";
  private static final String JOINED = LAYER + "norm_attn_norm.attn.Wqkv.weight";
  private static final Arrangement ROWS =
      Arrangement.joined(
          "attention.query.weight", "attention.key.weight", "attention.value.weight");

  private static final Layout RELEASED =
      Names.released(
              Map.of("embedding.weight", "transformer.wte.weight"),
              Map.of("final_norm.weight", "transformer.norm_f.weight"),
              Map.of("head.weight", "lm_head.weight"),
              Names.under(
                  LAYER,
                  Names.weights(
                      "attention_norm", "norm_attn_norm.norm_1",
                      "attention.output", "norm_attn_norm.attn.out_proj",
                      "feed_forward_norm", "norm_attn_norm.norm_2",
                      "router", "ffn.router.layer")))
          .and("attention.query.weight", JOINED, ROWS)
          .and("attention.key.weight", JOINED, ROWS)
          .and("attention.value.weight", JOINED, ROWS)
          .and("experts.gate.weight", EXPERTS + "w1", Arrangement.FLAT)
          .and("experts.up.weight", EXPERTS + "v1", Arrangement.FLAT)
          .and("experts.down.weight", EXPERTS + "w2", Arrangement.FLAT_TRANSPOSED);

  static final Family FAMILY =
      new Family(
          "dbrx",
          "DbrxForCausalLM",
          Llama.KEYS
              .without(Llama.HEAD_SIZE)
              .and(
                  Llama.HIDDEN.spelled("d_model"),
                  Llama.POSITIONS.spelled("max_seq_len"),
                  Llama.EPSILON.constant(1e-5),
                  Llama.LAYERS.spelled("n_layers"),
                  Llama.HEADS.spelled("n_heads"),
                  Llama.KEY_HEADS.spelled("attn_config.kv_n_heads").or(1),
                  Llama.CLIP.spelled("attn_config.clip_qkv"),
                  RotarySettings.THETA.spelled(
                      "attn_config.rope_theta", "rope_parameters.rope_theta"),
                  RotarySettings.SCALING.spelled("rope_parameters"))
              .and(Experts.KEYS.without(Experts.NORMALISED))
              .and(
                  Experts.ACTIVATION.spelled("ffn_config.ffn_act_fn.name").or("silu"),
                  Experts.COUNT.spelled("ffn_config.moe_num_experts"),
                  Experts.PER_TOKEN.spelled("ffn_config.moe_top_k"),
                  Experts.WIDTH.spelled("ffn_config.ffn_hidden_size"),
                  NORM)
              .neutral("used in training", "emb_pdrop", "resid_pdrop", "attn_config.attn_pdrop")
              .neutral(
                  "used in training", "ffn_config.moe_jitter_eps", "ffn_config.moe_loss_weight")
              .neutral("repeats what is said elsewhere", "num_key_value_heads")
              .neutral("repeats what is said elsewhere", "ffn_config.hidden_size")
              .neutral("names a class", "attn_config.model_type", "ffn_config.model_type"),
          Dbrx::model,
          List.of(RELEASED));

  private Dbrx() {}

  private static Architecture model(Settings c) {
    var norm = c.find(NORM) == null ? null : new Routing.Normalisation(0);
    var experts = Experts.of(c, Experts.softmax(c).withNormalisation(norm));
    return Parts.with(Llama.model(c, Llama.attention(c), experts), "centredNorms", true);
  }
}

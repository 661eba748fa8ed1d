package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * DBRX (Databricks, "Introducing DBRX", 2024; transformers {@code models/dbrx/modeling_dbrx.py}):
 * centred norms, clipped queries, keys and values, and config.json in objects of its own.
 */
final class Dbrx {
  /** The default of its class; no key of config.json changes it. */
  private static final double NORM_EPSILON = 1e-5;

  private static final String EXPERTS = "transformer.blocks.{layer}.ffn.experts.mlp.";
  private static final String JOINED = "transformer.blocks.{layer}.norm_attn_norm.attn.Wqkv.weight";
  private static final Arrangement ROWS =
      Arrangement.joined(
          "attention.query.weight", "attention.key.weight", "attention.value.weight");

  private static final Layout LAYOUT =
      Layout.of(
              "released",
              Map.of(
                  "embedding.weight", "transformer.wte.weight",
                  "final_norm.weight", "transformer.norm_f.weight",
                  "head.weight", "lm_head.weight",
                  "layers.{layer}.attention_norm.weight",
                      "transformer.blocks.{layer}.norm_attn_norm.norm_1.weight",
                  "layers.{layer}.attention.output.weight",
                      "transformer.blocks.{layer}.norm_attn_norm.attn.out_proj.weight",
                  "layers.{layer}.feed_forward_norm.weight",
                      "transformer.blocks.{layer}.norm_attn_norm.norm_2.weight",
                  "layers.{layer}.router.weight",
                      "transformer.blocks.{layer}.ffn.router.layer.weight"))
          .and("attention.query.weight", JOINED, ROWS)
          .and("attention.key.weight", JOINED, ROWS)
          .and("attention.value.weight", JOINED, ROWS)
          .and("experts.gate.weight", EXPERTS + "w1", Arrangement.FLAT)
          .and("experts.up.weight", EXPERTS + "v1", Arrangement.FLAT)
          .and("experts.down.weight", EXPERTS + "w2", Arrangement.FLAT_TRANSPOSED);

  static final Family FAMILY =
      new Family(
          "dbrx", Set.of("dbrx"), "DbrxForCausalLM", Dbrx::architecture, List.of(LAYOUT), null);

  private Dbrx() {}

  private static Architecture architecture(Config config) {
    config.neutral("emb_pdrop", "resid_pdrop");
    int hidden = config.count("d_model", Limits.MAX_WIDTH);
    int heads = config.count("n_heads", Limits.MAX_HEADS);
    Config attn = config.object("attn_config");
    attn.neutral("attn_pdrop", "model_type");
    int shared = attn.has("kv_n_heads") ? attn.count("kv_n_heads", heads) : 1;
    config.neutral("num_key_value_heads");
    int size = hidden / heads;
    double theta = config.has("rope_parameters") ? RotarySettings.theta(config) : 0;
    if (attn.has("rope_theta") && theta != 0 && attn.positive("rope_theta") != theta) {
      throw attn.wrong("rope_theta", "as in rope_parameters, " + theta, "another");
    }
    double base = theta == 0 ? attn.positive("rope_theta") : theta;
    var plain =
        new Attention.GroupedQuery(
            heads,
            shared,
            size,
            1 / Math.sqrt(size),
            null,
            new Rotary(base, size, Rotary.Pairing.HALVES, null));
    var attention =
        Parts.with(plain, "clip", attn.has("clip_qkv") ? attn.positive("clip_qkv") : null);
    attn.requireAllUnderstood(Set.of());
    var mixture = experts(config.object("ffn_config"));
    var model =
        new Architecture(
            config.count("vocab_size", Limits.MAX_VOCABULARY),
            hidden,
            config.count("max_seq_len", Integer.MAX_VALUE),
            NORM_EPSILON,
            config.flag("tie_word_embeddings", false),
            Layers.of(config.count("n_layers", Limits.MAX_LAYERS), i -> attention, i -> mixture),
            null);
    return Parts.with(model, "centredNorms", true);
  }

  private static FeedForward experts(Config ffn) {
    ffn.neutral("hidden_size", "model_type", "moe_jitter_eps", "moe_loss_weight");
    if (ffn.has("ffn_act_fn")) {
      ffn.object("ffn_act_fn").requireText("name", "silu");
    }
    boolean stated = ffn.has("moe_normalize_expert_weights");
    // Off only where it is null.
    boolean normalised = stated || !ffn.occurs("moe_normalize_expert_weights");
    if (stated && ffn.positive("moe_normalize_expert_weights") != 1) {
      throw ffn.unsupported(
          "moe_normalize_expert_weights",
          "1 or null",
          "" + ffn.positive("moe_normalize_expert_weights"));
    }
    int count = ffn.count("moe_num_experts", Limits.MAX_EXPERTS);
    var mixture =
        new FeedForward.MixtureOfExperts(
            count,
            ffn.count("ffn_hidden_size", Limits.MAX_WIDTH),
            FeedForward.Activation.SILU,
            Llama.softmax(ffn.count("moe_top_k", count), normalised),
            null);
    ffn.requireAllUnderstood(Set.of());
    return mixture;
  }
}

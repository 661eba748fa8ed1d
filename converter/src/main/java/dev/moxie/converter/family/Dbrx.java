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

  static final Family FAMILY =
      new Family(
          "dbrx",
          Set.of("dbrx"),
          "DbrxForCausalLM",
          Dbrx::architecture,
          List.of(new Layout("released", places())),
          null);

  private Dbrx() {}

  private static Map<String, Layout.Place> places() {
    String block = "transformer.blocks.{layer}.";
    String experts = block + "ffn.experts.mlp.";
    String attention = block + "norm_attn_norm.";
    var queriesKeysValues =
        new Layout.Place(
            attention + "attn.Wqkv.weight",
            Arrangement.joined(
                "attention.query.weight", "attention.key.weight", "attention.value.weight"));
    String layer = "layers.{layer}.";
    return Map.ofEntries(
        Map.entry("embedding.weight", Layout.Place.of("transformer.wte.weight")),
        Map.entry("final_norm.weight", Layout.Place.of("transformer.norm_f.weight")),
        Map.entry("head.weight", Layout.Place.of("lm_head.weight")),
        Map.entry(layer + "attention_norm.weight", Layout.Place.of(attention + "norm_1.weight")),
        Map.entry(layer + "attention.query.weight", queriesKeysValues),
        Map.entry(layer + "attention.key.weight", queriesKeysValues),
        Map.entry(layer + "attention.value.weight", queriesKeysValues),
        Map.entry(
            layer + "attention.output.weight", Layout.Place.of(attention + "attn.out_proj.weight")),
        Map.entry(layer + "feed_forward_norm.weight", Layout.Place.of(attention + "norm_2.weight")),
        Map.entry(layer + "router.weight", Layout.Place.of(block + "ffn.router.layer.weight")),
        Map.entry(
            layer + "experts.gate.weight", new Layout.Place(experts + "w1", Arrangement.FLAT)),
        Map.entry(layer + "experts.up.weight", new Layout.Place(experts + "v1", Arrangement.FLAT)),
        Map.entry(
            layer + "experts.down.weight",
            new Layout.Place(experts + "w2", Arrangement.FLAT_TRANSPOSED)));
  }

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
    boolean normalised = ffn.has("moe_normalize_expert_weights");
    if (normalised && ffn.positive("moe_normalize_expert_weights") != 1) {
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

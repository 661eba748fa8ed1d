package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * DeepSeek-V2 and V2-Lite, and DeepSeek-V3 with what is trained in its shape: R1, V3.1, Moonlight,
 * Kimi-K2 (DeepSeek-AI, "DeepSeek-V2" and "DeepSeek-V3 Technical Report", 2024; transformers {@code
 * models/deepseek_v2} and {@code models/deepseek_v3}). What the two differ in is how they route and
 * how rotated dimensions pair up.
 */
final class DeepSeek {
  /**
   * The norms inside latent attention keep the default of their class, whatever config.json says.
   */
  private static final double LATENT_NORM_EPSILON = 1e-6;

  /** Keeps a sum of scores from being zero. */
  private static final double NORMALISATION_EPSILON = 1e-20;

  private static final String PREDICTION_KEY = "num_nextn_predict_layers";

  static final Family V2 =
      new Family(
          "deepseek_v2",
          Set.of("deepseek_v2"),
          "DeepseekV2ForCausalLM",
          config -> architecture(config, DeepSeek::routingV2, Rotary.Pairing.INTERLEAVED, 0),
          List.of(Layout.of("released", names())),
          null);

  static final Family V3 =
      new Family(
          "deepseek_v3",
          Set.of("deepseek_v3", "kimi_k2"),
          "DeepseekV3ForCausalLM",
          config ->
              architecture(
                  config,
                  DeepSeek::routingV3,
                  config.flag("rope_interleave", true)
                      ? Rotary.Pairing.INTERLEAVED
                      : Rotary.Pairing.HALVES,
                  predictionLayers(config)),
          List.of(Layout.of("released", names())),
          PREDICTION_KEY);

  private DeepSeek() {}

  private static Map<String, String> names() {
    Map<String, String> names = new HashMap<>();
    names.put("embedding.weight", "model.embed_tokens.weight");
    names.put("final_norm.weight", "model.norm.weight");
    names.put("head.weight", "lm_head.weight");
    names.put(
        "layers.{layer}.router.bias", "model.layers.{layer}.mlp.gate.e_score_correction_bias");
    Map<String, String> inLayer =
        Map.ofEntries(
            Map.entry("attention_norm", "input_layernorm"),
            Map.entry("attention.query", "self_attn.q_proj"),
            Map.entry("attention.query_down", "self_attn.q_a_proj"),
            Map.entry("attention.query_norm", "self_attn.q_a_layernorm"),
            Map.entry("attention.query_up", "self_attn.q_b_proj"),
            Map.entry("attention.latent_down", "self_attn.kv_a_proj_with_mqa"),
            Map.entry("attention.latent_norm", "self_attn.kv_a_layernorm"),
            Map.entry("attention.latent_up", "self_attn.kv_b_proj"),
            Map.entry("attention.output", "self_attn.o_proj"),
            Map.entry("feed_forward_norm", "post_attention_layernorm"),
            Map.entry("dense.gate", "mlp.gate_proj"),
            Map.entry("dense.up", "mlp.up_proj"),
            Map.entry("dense.down", "mlp.down_proj"),
            Map.entry("router", "mlp.gate"),
            Map.entry("shared.gate", "mlp.shared_experts.gate_proj"),
            Map.entry("shared.up", "mlp.shared_experts.up_proj"),
            Map.entry("shared.down", "mlp.shared_experts.down_proj"),
            Map.entry("experts.{expert}.gate", "mlp.experts.{expert}.gate_proj"),
            Map.entry("experts.{expert}.up", "mlp.experts.{expert}.up_proj"),
            Map.entry("experts.{expert}.down", "mlp.experts.{expert}.down_proj"),
            Map.entry("prediction.embedding", "embed_tokens"),
            Map.entry("prediction.embedding_norm", "enorm"),
            Map.entry("prediction.hidden_norm", "hnorm"),
            Map.entry("prediction.combine", "eh_proj"),
            Map.entry("prediction.final_norm", "shared_head.norm"),
            Map.entry("prediction.head", "shared_head.head"));
    inLayer.forEach(
        (canonical, source) ->
            names.put(
                "layers.{layer}." + canonical + ".weight",
                "model.layers.{layer}." + source + ".weight"));
    return names;
  }

  private static Architecture architecture(
      Config config, Function<Config, Routing> routing, Rotary.Pairing pairing, int prediction) {
    requirePlain(config);
    Attention attention = attention(config, pairing);
    int layers = config.count("num_hidden_layers", Limits.MAX_LAYERS);
    int dense = config.whole("first_k_dense_replace", 0, layers);
    List<Architecture.Blocks> blocks = new ArrayList<>();
    if (dense > 0) {
      int width = config.count("intermediate_size", Limits.MAX_WIDTH);
      blocks.add(
          new Architecture.Blocks(
              dense, attention, new FeedForward.Dense(width, FeedForward.Activation.SILU)));
    } else {
      config.has("intermediate_size");
    }
    FeedForward experts = experts(config, routing.apply(config));
    if (dense < layers) {
      blocks.add(new Architecture.Blocks(layers - dense, attention, experts));
    }
    return new Architecture(
        config.count("vocab_size", Limits.MAX_VOCABULARY),
        config.count("hidden_size", Limits.MAX_WIDTH),
        config.count("max_position_embeddings", Integer.MAX_VALUE),
        config.positive("rms_norm_eps"),
        config.flag("tie_word_embeddings", false),
        blocks,
        prediction == 0 ? null : new Architecture.Prediction(prediction, attention, experts));
  }

  /** Refuses values that no release has and that would change the forward pass. */
  private static void requirePlain(Config config) {
    config.requireText("hidden_act", "silu");
    for (String key : List.of("attention_bias", "mlp_bias")) {
      if (config.flag(key, false)) {
        throw config.unsupported(key, "false", "true");
      }
    }
    int every = config.has("moe_layer_freq") ? config.whole("moe_layer_freq", 1, 1000) : 1;
    if (every != 1) {
      throw config.unsupported("moe_layer_freq", "1", String.valueOf(every));
    }
  }

  private static Attention attention(Config config, Rotary.Pairing pairing) {
    int heads = config.count("num_attention_heads", Limits.MAX_HEADS);
    Integer keyValueHeads = config.countOrNull("num_key_value_heads", Limits.MAX_HEADS);
    if (keyValueHeads != null && keyValueHeads != heads) {
      throw config.unsupported(
          "num_key_value_heads", "as many as query heads, " + heads, keyValueHeads.toString());
    }
    int plain = config.count("qk_nope_head_dim", Limits.MAX_WIDTH);
    int turned = config.count("qk_rope_head_dim", Limits.MAX_WIDTH);
    Integer stated = config.countOrNull("qk_head_dim", Limits.MAX_WIDTH);
    if (stated != null && stated != plain + turned) {
      throw config.wrong(
          "qk_head_dim", "qk_nope_head_dim + qk_rope_head_dim, " + (plain + turned), "" + stated);
    }
    // The head's width follows from the two above; transformers overwrites this key with the
    // second.
    config.has("head_dim");
    return new Attention.MultiHeadLatent(
        heads,
        config.countOrNull("q_lora_rank", Limits.MAX_WIDTH),
        config.count("kv_lora_rank", Limits.MAX_WIDTH),
        plain,
        config.count("v_head_dim", Limits.MAX_WIDTH),
        1 / Math.sqrt(plain + (double) turned),
        LATENT_NORM_EPSILON,
        RotarySettings.latent(config, turned, pairing));
  }

  private static FeedForward experts(Config config, Routing routing) {
    int width = config.count("moe_intermediate_size", Limits.MAX_WIDTH);
    int shared =
        config.has("n_shared_experts")
            ? config.whole("n_shared_experts", 0, Limits.MAX_EXPERTS)
            : 0;
    return new FeedForward.MixtureOfExperts(
        expertCount(config),
        width,
        FeedForward.Activation.SILU,
        routing,
        shared == 0 ? null : new FeedForward.SharedExperts(Math.multiplyExact(width, shared)));
  }

  private static int expertCount(Config config) {
    return config.count("n_routed_experts", Limits.MAX_EXPERTS);
  }

  /** V2: softmax; all experts, or those of the groups whose best expert is best; not normalised. */
  private static Routing routingV2(Config config) {
    config.requireTextIfAny("scoring_func", "softmax");
    // DeepSeek's code normalises but then does not scale, transformers ignores the key.
    if (config.flag("norm_topk_prob", false)) {
      throw config.unsupported("norm_topk_prob", "false, on which implementations agree", "true");
    }
    String method = config.has("topk_method") ? config.text("topk_method") : "greedy";
    Routing.@Nullable Groups groups =
        switch (method) {
          case "greedy" -> {
            config.has("n_group");
            config.has("topk_group");
            yield null;
          }
          case "group_limited_greedy" ->
              groups(config, Routing.Groups.Aggregate.MAXIMUM, Routing.Groups.MaskValue.ZERO);
          default ->
              throw config.unsupported(
                  "topk_method", "\"greedy\" or \"group_limited_greedy\"", method);
        };
    return routing(config, Routing.Score.SOFTMAX, null, groups, null);
  }

  /** V3: sigmoid; a bias steers the choice; groups by the sum of their two best experts. */
  private static Routing routingV3(Config config) {
    config.requireTextIfAny("scoring_func", "sigmoid");
    config.requireTextIfAny("topk_method", "noaux_tc");
    return routing(
        config,
        Routing.Score.SIGMOID,
        Routing.Bias.SELECTION,
        groups(
            config,
            Routing.Groups.Aggregate.SUM_OF_TOP_TWO,
            Routing.Groups.MaskValue.NEGATIVE_INFINITY),
        config.flag("norm_topk_prob", true)
            ? new Routing.Normalisation(NORMALISATION_EPSILON)
            : null);
  }

  /** Groups, unless all of them are kept, which limits nothing. */
  private static Routing.@Nullable Groups groups(
      Config config, Routing.Groups.Aggregate aggregate, Routing.Groups.MaskValue maskValue) {
    int count = config.count("n_group", expertCount(config));
    int kept = config.count("topk_group", count);
    return kept == count ? null : new Routing.Groups(count, kept, aggregate, maskValue);
  }

  private static Routing routing(
      Config config,
      Routing.Score score,
      Routing.@Nullable Bias bias,
      Routing.@Nullable Groups groups,
      Routing.@Nullable Normalisation normalisation) {
    return new Routing(
        config.count("num_experts_per_tok", expertCount(config)),
        score,
        bias,
        groups,
        normalisation,
        config.positive("routed_scaling_factor"),
        Routing.WeightsApplyTo.EXPERT_OUTPUT,
        Routing.Capacity.UNLIMITED,
        Routing.Ties.LOWER_EXPERT_ID,
        Dtype.F32);
  }

  private static int predictionLayers(Config config) {
    return config.has(PREDICTION_KEY) ? config.whole(PREDICTION_KEY, 0, Limits.MAX_LAYERS) : 0;
  }
}

package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
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

  static final String PREDICTION_KEY = "num_nextn_predict_layers";

  static final Family V2 =
      new Family(
          "deepseek_v2",
          Set.of("deepseek_v2"),
          "DeepseekV2ForCausalLM",
          config -> architecture(config, DeepSeek::routingV2, Rotary.Pairing.INTERLEAVED, 0),
          names(),
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
          names(),
          PREDICTION_KEY);

  private DeepSeek() {}

  private static Map<String, String> names() {
    return Names.join(
        Names.LLAMA,
        Names.weights(
            "attention.query_down", "self_attn.q_a_proj",
            "attention.query_norm", "self_attn.q_a_layernorm",
            "attention.query_up", "self_attn.q_b_proj",
            "attention.latent_down", "self_attn.kv_a_proj_with_mqa",
            "attention.latent_norm", "self_attn.kv_a_layernorm",
            "attention.latent_up", "self_attn.kv_b_proj"),
        Names.DENSE,
        Names.EXPERTS,
        Names.SHARED,
        Names.PREDICTION,
        Names.inLayer("router.bias", "mlp.gate.e_score_correction_bias"));
  }

  private static Architecture architecture(
      Config config, Function<Config, Routing> routing, Rotary.Pairing pairing, int prediction) {
    config.requireFlagIfAny("attention_bias", false);
    Attention attention = attention(config, pairing);
    FeedForward experts = experts(config, routing.apply(config));
    Architecture model = Llama.model(config, blocks(config, attention, experts));
    return prediction == 0
        ? model
        : Parts.with(
            model, "prediction", new Architecture.Prediction(prediction, attention, experts));
  }

  /** Dense layers first, then those with experts. */
  static List<Architecture.Blocks> blocks(Config config, Attention attention, FeedForward experts) {
    config.requireFlagIfAny("mlp_bias", false);
    if (config.has("moe_layer_freq") && config.whole("moe_layer_freq", 1, 1000) != 1) {
      throw config.unsupported("moe_layer_freq", "1", "" + config.whole("moe_layer_freq", 1, 1000));
    }
    int layers = Llama.layers(config);
    int dense = config.whole("first_k_dense_replace", 0, layers);
    config.has("intermediate_size");
    FeedForward first = dense == 0 ? experts : Llama.dense(config, "intermediate_size");
    return Layers.of(layers, i -> attention, i -> i < dense ? first : experts);
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

  /** Routed experts of their own width, and shared ones beside them. */
  static FeedForward experts(Config config, Routing routing) {
    int width = config.count("moe_intermediate_size", Limits.MAX_WIDTH);
    return Llama.experts(
        config,
        expertCount(config),
        "moe_intermediate_size",
        routing,
        Llama.shared(config, "n_shared_experts", width));
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
  static Routing routingV3(Config config) {
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
    return Routing.of(config.count("num_experts_per_tok", expertCount(config)), score)
        .withBias(bias)
        .withGroups(groups)
        .withNormalisation(normalisation)
        .withScale(config.positive("routed_scaling_factor"));
  }

  static int predictionLayers(Config config) {
    return config.has(PREDICTION_KEY) ? config.whole(PREDICTION_KEY, 0, Limits.MAX_LAYERS) : 0;
  }
}

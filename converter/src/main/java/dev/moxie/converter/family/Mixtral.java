package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Mixtral 8x7B, 8x22B and what is trained in their shape (Jiang et al., "Mixtral of Experts", 2024;
 * transformers {@code models/mixtral/modeling_mixtral.py}).
 */
final class Mixtral {
  static final Family FAMILY =
      new Family(
          "mixtral",
          Set.of("mixtral"),
          "MixtralForCausalLM",
          Mixtral::architecture,
          layouts(),
          null);

  private Mixtral() {}

  private static List<Layout> layouts() {
    Layout released =
        Layout.of(
            "released",
            Map.ofEntries(
                Map.entry("embedding.weight", "model.embed_tokens.weight"),
                Map.entry("final_norm.weight", "model.norm.weight"),
                Map.entry("head.weight", "lm_head.weight"),
                layer("attention_norm", "input_layernorm"),
                layer("attention.query", "self_attn.q_proj"),
                layer("attention.key", "self_attn.k_proj"),
                layer("attention.value", "self_attn.v_proj"),
                layer("attention.output", "self_attn.o_proj"),
                layer("feed_forward_norm", "post_attention_layernorm"),
                layer("router", "block_sparse_moe.gate"),
                layer("experts.{expert}.gate", "block_sparse_moe.experts.{expert}.w1"),
                layer("experts.{expert}.up", "block_sparse_moe.experts.{expert}.w3"),
                layer("experts.{expert}.down", "block_sparse_moe.experts.{expert}.w2")));
    return List.of(
        released,
        released.with(
            "transformers 5",
            Map.of(
                "layers.{layer}.router.weight",
                    Layout.Place.of("model.layers.{layer}.mlp.gate.weight"),
                "layers.{layer}.experts.gate_up.weight",
                    new Layout.Place(
                        "model.layers.{layer}.mlp.experts.gate_up_proj", Arrangement.HALVES),
                "layers.{layer}.experts.down.weight",
                    new Layout.Place(
                        "model.layers.{layer}.mlp.experts.down_proj", Arrangement.STACKED))));
  }

  private static Map.Entry<String, String> layer(String canonical, String source) {
    return Map.entry(
        "layers.{layer}." + canonical + ".weight", "model.layers.{layer}." + source + ".weight");
  }

  private static Architecture architecture(Config config) {
    int hidden = config.count("hidden_size", Limits.MAX_WIDTH);
    int heads = config.count("num_attention_heads", Limits.MAX_HEADS);
    int headSize = headSize(config, hidden, heads);
    int keyValueHeads = config.count("num_key_value_heads", heads);
    if (heads % keyValueHeads != 0) {
      throw config.wrong(
          "num_key_value_heads", "a divisor of " + heads + " heads", String.valueOf(keyValueHeads));
    }
    config.requireText("hidden_act", "silu");
    if (!config.flag("norm_topk_prob", true)) {
      throw config.unsupported("norm_topk_prob", "true, as Mixtral has it", "false");
    }
    var attention =
        new Attention.GroupedQuery(
            heads,
            keyValueHeads,
            headSize,
            1 / Math.sqrt(headSize),
            window(config),
            RotarySettings.unscaled(config, headSize, Rotary.Pairing.HALVES));
    int experts = config.count("num_local_experts", Limits.MAX_EXPERTS);
    var routing =
        new Routing(
            config.count("num_experts_per_tok", experts),
            Routing.Score.SOFTMAX,
            null,
            null,
            new Routing.Normalisation(0),
            1,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32);
    var feedForward =
        new FeedForward.MixtureOfExperts(
            experts,
            config.count("intermediate_size", Limits.MAX_WIDTH),
            FeedForward.Activation.SILU,
            routing,
            null);
    return new Architecture(
        config.count("vocab_size", Limits.MAX_VOCABULARY),
        hidden,
        config.count("max_position_embeddings", Integer.MAX_VALUE),
        config.positive("rms_norm_eps"),
        config.flag("tie_word_embeddings", false),
        List.of(
            new Architecture.Blocks(
                config.count("num_hidden_layers", Limits.MAX_LAYERS), attention, feedForward)),
        null);
  }

  /** A window holds in every layer, so a list of the layers' kinds may say nothing else. */
  private static @Nullable Integer window(Config config) {
    Integer window = config.countOrNull("sliding_window", Integer.MAX_VALUE);
    if (window != null && config.has("layer_types")) {
      List<String> types = config.texts("layer_types");
      if (!Set.copyOf(types).equals(Set.of("sliding_attention"))) {
        throw config.unsupported(
            "layer_types",
            "sliding_attention in every layer, as sliding_window says",
            types.toString());
      }
    }
    return window;
  }

  private static int headSize(Config config, int hidden, int heads) {
    Integer stated = config.countOrNull("head_dim", Limits.MAX_WIDTH);
    if (stated != null) {
      return stated;
    }
    if (hidden % heads != 0) {
      throw config.wrong(
          "num_attention_heads",
          "a divisor of hidden_size " + hidden + ", since head_dim is absent",
          String.valueOf(heads));
    }
    return hidden / heads;
  }
}

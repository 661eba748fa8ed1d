package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * Qwen1.5-MoE and Qwen2-57B-A14B (Qwen Team, "Qwen2 Technical Report", 2024), which have a switched
 * shared expert and biases, and Qwen3-30B-A3B, -235B-A22B and -Coder ("Qwen3 Technical Report",
 * 2025), which have normed heads (transformers {@code models/qwen2_moe} and {@code
 * models/qwen3_moe}).
 */
final class Qwen {
  static final Family QWEN2_MOE =
      new Family(
          "qwen2_moe",
          Set.of("qwen2_moe"),
          "Qwen2MoeForCausalLM",
          Qwen::second,
          layouts(
              Names.weights(
                  "shared.gate", "mlp.shared_expert.gate_proj",
                  "shared.up", "mlp.shared_expert.up_proj",
                  "shared.down", "mlp.shared_expert.down_proj",
                  "shared.switch", "mlp.shared_expert_gate")),
          null);

  static final Family QWEN3_MOE =
      new Family(
          "qwen3_moe",
          Set.of("qwen3_moe"),
          "Qwen3MoeForCausalLM",
          Qwen::third,
          layouts(Map.of()),
          null);

  private Qwen() {}

  private static List<Layout> layouts(Map<String, String> more) {
    Layout released =
        Layout.of("released", Names.join(Names.LLAMA, Names.DENSE, Names.EXPERTS, more));
    return List.of(released, Names.fused(released));
  }

  private static Architecture second(Config config) {
    var attention = Llama.biased(Llama.attention(config), config.flag("qkv_bias", true), false);
    int shared = config.count("shared_expert_intermediate_size", Limits.MAX_WIDTH);
    Integer window = window(config);
    int last = config.has("max_window_layers") ? config.whole("max_window_layers", 0, 1 << 20) : 28;
    var layers =
        Llama.windowed(config, attention, i -> window != null && i % 2 == 0 && i < last, window);
    return model(config, layers, new FeedForward.SharedExperts(shared, true));
  }

  private static Architecture third(Config config) {
    var attention =
        Llama.normed(
            Llama.biased(Llama.attention(config), config.flag("attention_bias", false), true),
            Attention.NormSpan.HEAD,
            config);
    // In every layer, whatever this says.
    config.has("max_window_layers");
    var alike = Llama.alike(config, attention, window(config));
    return model(config, i -> alike, null);
  }

  /** Only where it is switched on. */
  private static @Nullable Integer window(Config config) {
    boolean used = config.flag("use_sliding_window", false);
    config.has("sliding_window");
    return used ? config.count("sliding_window", Integer.MAX_VALUE) : null;
  }

  /** Experts in every so many layers, but in some by name. */
  private static Architecture model(
      Config config,
      IntFunction<Attention.GroupedQuery> attention,
      FeedForward.@Nullable SharedExperts shared) {
    int experts =
        config.count(config.either("num_experts", "num_local_experts"), Limits.MAX_EXPERTS);
    var routing =
        Llama.softmax(
            config.count("num_experts_per_tok", experts), config.flag("norm_topk_prob", false));
    var mixture = Llama.experts(config, experts, "moe_intermediate_size", routing, shared);
    int step =
        config.has("decoder_sparse_step") ? config.whole("decoder_sparse_step", 1, 1 << 20) : 1;
    List<Integer> dense =
        config.has("mlp_only_layers") ? config.numbers("mlp_only_layers") : List.of();
    boolean all = step == 1 && dense.isEmpty();
    config.has("intermediate_size");
    FeedForward other = all ? mixture : Llama.dense(config, "intermediate_size");
    return Llama.model(
        config,
        Layers.of(
            Llama.layers(config),
            attention,
            i -> (i + 1) % step == 0 && !dense.contains(i) ? mixture : other));
  }
}

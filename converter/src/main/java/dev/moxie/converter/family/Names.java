package dev.moxie.converter.family;

import java.util.HashMap;
import java.util.Map;

/**
 * Sets of tensor names that families share: canonical names, and what they are in a checkpoint.
 * {@code {layer}} and {@code {expert}} stand for numbers.
 */
final class Names {
  /** Embedding, head, attention and norms of Llama. */
  static final Map<String, String> LLAMA =
      join(
          Map.of(
              "embedding.weight", "model.embed_tokens.weight",
              "final_norm.weight", "model.norm.weight",
              "head.weight", "lm_head.weight"),
          weights(
              "attention_norm", "input_layernorm",
              "attention.query", "self_attn.q_proj",
              "attention.key", "self_attn.k_proj",
              "attention.value", "self_attn.v_proj",
              "attention.output", "self_attn.o_proj",
              "attention.query_norm", "self_attn.q_norm",
              "attention.key_norm", "self_attn.k_norm",
              "feed_forward_norm", "post_attention_layernorm"),
          inLayer(
              "attention.query.bias", "self_attn.q_proj.bias",
              "attention.key.bias", "self_attn.k_proj.bias",
              "attention.value.bias", "self_attn.v_proj.bias",
              "attention.output.bias", "self_attn.o_proj.bias"));

  /** A dense network in the place of experts. */
  static final Map<String, String> DENSE =
      weights(
          "dense.gate", "mlp.gate_proj",
          "dense.up", "mlp.up_proj",
          "dense.down", "mlp.down_proj");

  /** Router and experts, each with matrices of its own, as Qwen and DeepSeek name them. */
  static final Map<String, String> EXPERTS =
      weights(
          "router", "mlp.gate",
          "experts.{expert}.gate", "mlp.experts.{expert}.gate_proj",
          "experts.{expert}.up", "mlp.experts.{expert}.up_proj",
          "experts.{expert}.down", "mlp.experts.{expert}.down_proj");

  /** Shared experts as DeepSeek names them. */
  static final Map<String, String> SHARED =
      weights(
          "shared.gate", "mlp.shared_experts.gate_proj",
          "shared.up", "mlp.shared_experts.up_proj",
          "shared.down", "mlp.shared_experts.down_proj");

  /** Router and experts as Mixtral names them. */
  static final Map<String, String> BLOCK_SPARSE =
      weights(
          "router", "block_sparse_moe.gate",
          "experts.{expert}.gate", "block_sparse_moe.experts.{expert}.w1",
          "experts.{expert}.up", "block_sparse_moe.experts.{expert}.w3",
          "experts.{expert}.down", "block_sparse_moe.experts.{expert}.w2");

  /** Layers for multi-token prediction as DeepSeek names them. */
  static final Map<String, String> PREDICTION =
      weights(
          "prediction.embedding", "embed_tokens",
          "prediction.embedding_norm", "enorm",
          "prediction.hidden_norm", "hnorm",
          "prediction.combine", "eh_proj",
          "prediction.final_norm", "shared_head.norm",
          "prediction.head", "shared_head.head");

  private Names() {}

  /** Weights of a layer: canonical stem, then the checkpoint's. */
  static Map<String, String> weights(String... pairs) {
    String[] names = pairs.clone();
    for (int i = 0; i < names.length; i++) {
      names[i] += ".weight";
    }
    return inLayer(names);
  }

  /** Tensors of a layer: canonical name, then the checkpoint's. */
  static Map<String, String> inLayer(String... pairs) {
    Map<String, String> names = new HashMap<>();
    for (int i = 0; i < pairs.length; i += 2) {
      names.put("layers.{layer}." + pairs[i], "model.layers.{layer}." + pairs[i + 1]);
    }
    return names;
  }

  /**
   * The same weights as transformers 5 writes them: experts fused, of each the gate rows first
   * ({@code save_pretrained} with {@code save_original_format=False}).
   */
  static Layout fused(Layout released) {
    String network = "model.layers.{layer}.mlp.";
    return released
        .as("transformers 5")
        .and("router.weight", network + "gate.weight", Arrangement.ITSELF)
        .and("experts.gate_up.weight", network + "experts.gate_up_proj", Arrangement.HALVES)
        .and("experts.down.weight", network + "experts.down_proj", Arrangement.STACKED);
  }

  /** All of them; later ones replace earlier ones. */
  @SafeVarargs
  static Map<String, String> join(Map<String, String>... sets) {
    Map<String, String> all = new HashMap<>();
    for (Map<String, String> set : sets) {
      all.putAll(set);
    }
    return Map.copyOf(all);
  }
}

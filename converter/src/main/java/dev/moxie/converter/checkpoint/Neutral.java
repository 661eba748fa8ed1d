package dev.moxie.converter.checkpoint;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/**
 * Keys of config.json that change nothing with a certain value, whatever the family: what would be
 * added is not, what would be multiplied is by one. Classes that many families share write them
 * out, and so do tools that merge or quantise. The objects within config.json have tables of their
 * own.
 */
final class Neutral {
  /** The kind of attention of each layer, of which this one is all that is meant without a list. */
  private static final String LAYER_TYPES = "layer_types";

  private static final String FULL_ATTENTION = "\"full_attention\"";

  private static final List<String> OFF = List.of("false", "null");
  private static final List<String> NONE = List.of("0", "null", "[]", "false");
  private static final List<String> ONE = List.of("1", "null");

  /** By key, the key of the same object without whose value it says nothing. */
  private static final Map<String, String> NOTHING_WITHOUT =
      Map.of(
          "max_window_layers", "sliding_window",
          "sliding_window_pattern", "sliding_window");

  /** Values as compact JSON; numbers are compared as numbers. */
  private static final Map<String, Map<String, List<String>>> TABLES =
      Map.of(
          "",
          table(
              List.of(
                  entries(
                      OFF,
                      "add_bias_linear",
                      "add_cross_attention",
                      "add_qkv_bias",
                      "attention_bias",
                      "attention_in_bias",
                      "attention_out_bias",
                      "attn_bias",
                      "bias",
                      "cross_attention_hidden_size",
                      "dequantize",
                      "enable_mtp",
                      "expert_bias",
                      "is_encoder_decoder",
                      "lm_head_bias",
                      "mlp_bias",
                      "moe_bias",
                      "o_proj_bias",
                      "parallel_attn",
                      "qk_layernorm",
                      "qk_norm",
                      "qkv_bias",
                      "router_bias",
                      "scale_embeddings",
                      "tie_encoder_decoder",
                      "use_bias",
                      "use_attention_bias",
                      "use_mlp_bias",
                      "use_parallel_residual",
                      "use_qk_norm",
                      "use_qkv_bias",
                      "use_sliding_window"),
                  entries(
                      NONE,
                      "attention_chunk_size",
                      "attn_logit_softcapping",
                      "clip_qkv",
                      "first_k_dense_replace",
                      "final_logit_softcapping",
                      "logits_soft_cap",
                      "mlp_only_layers",
                      "n_shared_experts",
                      "num_kv_shared_layers",
                      "num_mtp_modules",
                      "num_nextn_predict_layers",
                      "num_shared_experts",
                      "router_logit_softcapping",
                      "shared_expert_intermediate_size",
                      "zero_expert_num"),
                  entries(
                      ONE,
                      "attention_value_scale",
                      "decoder_sparse_step",
                      "embedding_multiplier",
                      "logit_scale",
                      "logits_scaling",
                      "moe_layer_freq",
                      "n_group",
                      "num_expert_group",
                      "partial_rotary_factor",
                      "residual_multiplier",
                      "rope_pct",
                      "rotary_pct",
                      "routed_scaling_factor",
                      "topk_group"))),
          "rope_parameters.",
          entries(ONE, "factor", "partial_rotary_factor", "attention_factor"),
          "rope_scaling.",
          entries(ONE, "factor", "partial_rotary_factor", "attention_factor"),
          "quantization_config.",
          table(
              List.of(
                  entries(
                      OFF,
                      "_load_in_4bit",
                      "_load_in_8bit",
                      "dequantize",
                      "load_in_4bit",
                      "load_in_8bit"),
                  entries(List.of("true"), "is_checkpoint_fp8_serialized"),
                  entries(List.of("null", "[]"), "modules_to_convert"))));

  private Neutral() {}

  private static Map<String, List<String>> entries(List<String> values, String... keys) {
    return Stream.of(keys).collect(Collectors.toMap(key -> key, key -> values));
  }

  private static Map<String, List<String>> table(List<Map<String, List<String>>> parts) {
    Map<String, List<String>> table = new HashMap<>();
    parts.forEach(table::putAll);
    return table;
  }

  /**
   * Whether a key with its value says nothing.
   *
   * @param object the path of the object that it stands in, which ends in a dot; empty for
   *     config.json itself
   * @param json the object
   */
  static boolean is(String object, String key, JsonNode json) {
    JsonNode value = json.path(key);
    String other = NOTHING_WITHOUT.get(key);
    if (object.isEmpty() && other != null) {
      return json.path(other).isMissingNode() || json.path(other).isNull();
    }
    List<String> values = TABLES.getOrDefault(object, Map.of()).getOrDefault(key, List.of());
    if (object.isEmpty() && key.equals(LAYER_TYPES)) {
      return value.isArray()
          && value.valueStream().allMatch(type -> type.toString().equals(FULL_ATTENTION));
    }
    return value.isNumber()
        ? values.stream().anyMatch(one -> isNumber(one, value.doubleValue()))
        : values.contains(value.toString());
  }

  private static boolean isNumber(String text, double value) {
    return Set.of("0", "1").contains(text) && Double.parseDouble(text) == value;
  }
}

package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.blocks;
import static dev.moxie.verifier.WrongPlans.experts;
import static dev.moxie.verifier.WrongPlans.routing;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import java.nio.file.Path;
import java.util.List;
import java.util.function.BiFunction;

/** The models of {@link NumericVectors}: together they have every part of an architecture. */
final class NumericModels {
  /** A checkpoint's config, and how it becomes a package. */
  record Model(String name, String config, BiFunction<Path, Path, Path> conversion) {}

  private static final String QWEN3 =
      """
      {"model_type": "qwen3_moe", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 12,
       "num_hidden_layers": 2, "moe_intermediate_size": 10, "intermediate_size": 9,
       "num_experts": 5, "num_experts_per_tok": 2, "norm_topk_prob": true,
       "decoder_sparse_step": 1, "mlp_only_layers": [], "num_attention_heads": 4,
       "num_key_value_heads": 2, "head_dim": 8, "attention_bias": true, "rms_norm_eps": 1e-6,
       "rope_theta": 1000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
        "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64},
       "max_position_embeddings": 64, "use_sliding_window": false,
       "tie_word_embeddings": false}
      """;

  static final List<Model> ALL =
      List.of(
          new Model(
              "states-gated-attention-and-norms-from-one",
              """
              {"model_type": "qwen3_next", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "full_attention_interval": 2,
               "linear_conv_kernel_dim": 3, "linear_num_key_heads": 2,
               "linear_num_value_heads": 4, "linear_key_head_dim": 5, "linear_value_head_dim": 3,
               "moe_intermediate_size": 6, "shared_expert_intermediate_size": 5,
               "num_experts": 5, "num_experts_per_tok": 2, "num_attention_heads": 4,
               "num_key_value_heads": 2, "head_dim": 8, "attention_bias": true,
               "rms_norm_eps": 1e-5, "rope_theta": 1000.0, "partial_rotary_factor": 0.5,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "a-network-beside-experts",
              """
              {"model_type": "gemma4_text", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 3, "layer_types": ["sliding_attention", "full_attention",
                "full_attention"], "sliding_window": 3, "moe_intermediate_size": 6,
               "intermediate_size": 9, "num_experts": 5, "top_k_experts": 2,
               "enable_moe_block": true, "hidden_size_per_layer_input": 0,
               "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
               "num_global_key_value_heads": 1, "global_head_dim": 10, "attention_k_eq_v": true,
               "attention_bias": true, "rope_parameters": {"sliding_attention": {"rope_type":
                "default", "rope_theta": 1000.0}, "full_attention": {"rope_type": "proportional",
                "rope_theta": 10000.0, "partial_rotary_factor": 0.5}},
               "final_logit_softcapping": 1.5, "rms_norm_eps": 1e-5,
               "max_position_embeddings": 64, "tie_word_embeddings": true}
              """,
              Packages::convert),
          new Model(
              "mamba2-and-no-positions",
              """
              {"model_type": "granitemoehybrid", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "layer_types": ["mamba", "attention"],
               "mamba_n_heads": 4, "mamba_n_groups": 2, "mamba_d_state": 5, "mamba_d_conv": 3,
               "mamba_d_head": "auto", "mamba_proj_bias": true, "intermediate_size": 6,
               "shared_intermediate_size": 5, "num_local_experts": 5, "num_experts_per_tok": 2,
               "num_attention_heads": 3, "num_key_value_heads": 3, "attention_multiplier": 0.5,
               "residual_multiplier": 0.5, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "mamba",
              """
              {"model_type": "jamba", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
               "expert_layer_period": 2, "expert_layer_offset": 1, "mamba_d_state": 5,
               "mamba_d_conv": 3, "mamba_dt_rank": "auto", "mamba_proj_bias": true,
               "intermediate_size": 6, "num_experts": 5, "num_experts_per_tok": 2,
               "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-5,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "lightning-and-a-scaled-residual",
              """
              {"model_type": "minimax", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 3, "layer_types": ["linear_attention", "full_attention",
                "linear_attention"], "intermediate_size": 6, "num_local_experts": 5,
               "num_experts_per_tok": 2, "num_attention_heads": 3, "num_key_value_heads": 1,
               "head_dim": 4, "rms_norm_eps": 1e-5, "rope_theta": 1000.0,
               "full_attn_alpha_factor": 1.5, "full_attn_beta_factor": 0.5,
               "linear_attn_alpha_factor": 0.75, "mlp_alpha_factor": 3.5,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "halves-of-layers-without-gates",
              """
              {"model_type": "nemotron_h", "vocab_size": 19, "hidden_size": 12,
               "hybrid_override_pattern": "ME*-", "mamba_num_heads": 4, "mamba_head_dim": 3,
               "n_groups": 2, "ssm_state_size": 5, "conv_kernel": 3, "time_step_min": 0.7,
               "intermediate_size": 9, "moe_intermediate_size": 6,
               "moe_shared_expert_intermediate_size": 5, "n_routed_experts": 5,
               "num_experts_per_tok": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
               "head_dim": 4, "layer_norm_epsilon": 1e-5, "max_position_embeddings": 64}
              """,
              Packages::convert),
          new Model(
              "short-convolutions",
              """
              {"model_type": "lfm2_moe", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 3, "num_dense_layers": 1, "intermediate_size": 9,
               "layer_types": ["conv", "full_attention", "conv"], "conv_L_cache": 4,
               "conv_bias": true, "moe_intermediate_size": 6, "num_experts": 5,
               "num_experts_per_tok": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
               "norm_eps": 1e-5, "rope_theta": 1000.0, "max_position_embeddings": 64,
               "tie_word_embeddings": true}
              """,
              Packages::convert),
          new Model(
              "streams-entries-and-a-table-of-experts",
              """
              {"model_type": "deepseek_v4", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 3, "moe_intermediate_size": 10,
               "n_routed_experts": 5, "num_experts_per_tok": 2, "n_shared_experts": 1,
               "num_attention_heads": 4, "head_dim": 8, "q_lora_rank": 6, "o_groups": 2,
               "o_lora_rank": 5, "index_n_heads": 2, "index_head_dim": 6, "index_topk": 2,
               "compress_rates": {"compressed_sparse_attention": 2,
                "heavily_compressed_attention": 3}, "partial_rotary_factor": 0.5,
               "layer_types": ["sliding_attention", "compressed_sparse_attention",
                "heavily_compressed_attention"], "mlp_layer_types": ["hash_moe", "moe", "hash_moe"],
               "sliding_window": 3, "hc_mult": 3, "hc_sinkhorn_iters": 4, "swiglu_limit": 0.5,
               "rms_norm_eps": 1e-5, "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "twice-in-a-layer-beside-experts-some-of-which-do-nothing",
              """
              {"model_type": "longcat_flash", "vocab_size": 19, "hidden_size": 12,
               "num_layers": 2, "ffn_hidden_size": 9, "expert_ffn_hidden_size": 6,
               "n_routed_experts": 3, "zero_expert_num": 2, "moe_topk": 3,
               "num_attention_heads": 2, "q_lora_rank": 6, "kv_lora_rank": 5,
               "qk_nope_head_dim": 3, "qk_rope_head_dim": 4, "v_head_dim": 4,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64}
              """,
              Packages::convert),
          new Model(
              "experts-of-heads-and-a-bias-of-experts",
              """
              {"model_type": "jetmoe", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 2, "intermediate_size": 6, "num_local_experts": 4,
               "num_experts_per_tok": 2, "num_key_value_heads": 3, "kv_channels": 4,
               "rms_norm_eps": 0.001, "rope_theta": 10000.0, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "states-by-row-and-latents-without-positions",
              """
              {"model_type": "kimi_linear", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 3, "intermediate_size": 9, "moe_intermediate_size": 6,
               "num_experts": 4, "num_experts_per_token": 2, "num_shared_experts": 1,
               "num_expert_group": 2, "topk_group": 1, "routed_scaling_factor": 2.446,
               "num_attention_heads": 2, "kv_lora_rank": 5, "qk_nope_head_dim": 3,
               "qk_rope_head_dim": 5, "v_head_dim": 4, "linear_attn_config": {"num_heads": 3,
                "head_dim": 4, "short_conv_kernel_size": 3, "kda_layers": [1, 3],
                "full_attn_layers": [2]}, "rms_norm_eps": 1e-5, "model_max_length": 64}
              """,
              Packages::convert),
          new Model(
              "grouped-query",
              """
              {"model_type": "mixtral", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 2, "intermediate_size": 10, "num_local_experts": 5,
               "num_experts_per_tok": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
               "head_dim": 6, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "sliding_window": 3,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "grouped-query-tied-head",
              """
              {"model_type": "mixtral", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 8,
               "num_hidden_layers": 1, "intermediate_size": 6, "num_local_experts": 4,
               "num_experts_per_tok": 3, "num_attention_heads": 2, "num_key_value_heads": 1,
               "head_dim": 4, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
               "sliding_window": null, "max_position_embeddings": 64,
               "tie_word_embeddings": true}
              """,
              Packages::convert),
          new Model(
              "latent-fp8-yarn-grouped-sigmoid",
              """
              {"model_type": "deepseek_v3", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 14, "num_hidden_layers": 2, "first_k_dense_replace": 1,
               "intermediate_size": 131, "moe_intermediate_size": 130, "n_routed_experts": 6,
               "n_shared_experts": 1, "num_experts_per_tok": 3, "n_group": 3, "topk_group": 2,
               "topk_method": "noaux_tc", "norm_topk_prob": true, "routed_scaling_factor": 2.5,
               "num_attention_heads": 2, "q_lora_rank": 9, "kv_lora_rank": 7,
               "qk_nope_head_dim": 5, "qk_rope_head_dim": 16, "v_head_dim": 4,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 2048,
               "rope_scaling": {"type": "yarn", "factor": 4, "mscale": 1.0,
                "mscale_all_dim": 0.5, "beta_fast": 4, "beta_slow": 1,
                "original_max_position_embeddings": 512}, "tie_word_embeddings": false,
               "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
              """,
              Packages::convert),
          new Model(
              "fp8-with-a-scale-for-each-row",
              """
              {"model_type": "deepseek_v3", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 14, "num_hidden_layers": 2, "first_k_dense_replace": 1,
               "intermediate_size": 13, "moe_intermediate_size": 11, "n_routed_experts": 4,
               "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
               "topk_method": "noaux_tc", "norm_topk_prob": true, "routed_scaling_factor": 1.5,
               "num_attention_heads": 2, "q_lora_rank": 9, "kv_lora_rank": 7,
               "qk_nope_head_dim": 5, "qk_rope_head_dim": 4, "v_head_dim": 4,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64,
               "rope_scaling": null, "tie_word_embeddings": false,
               "quantization_config": {"quant_method": "compressed-tensors",
                "format": "float-quantized", "ignore": ["lm_head"], "config_groups": {"group_0":
                 {"targets": ["Linear"], "weights": {"type": "float", "num_bits": 8,
                  "strategy": "channel", "symmetric": true}}}}}
              """,
              Packages::convert),
          new Model(
              "int4-in-groups-the-last-of-a-row-smaller",
              """
              {"model_type": "deepseek_v3", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 16, "num_hidden_layers": 1, "first_k_dense_replace": 0,
               "intermediate_size": 13, "moe_intermediate_size": 24, "n_routed_experts": 4,
               "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
               "topk_method": "noaux_tc", "norm_topk_prob": true, "routed_scaling_factor": 1.5,
               "num_attention_heads": 2, "q_lora_rank": 9, "kv_lora_rank": 7,
               "qk_nope_head_dim": 5, "qk_rope_head_dim": 4, "v_head_dim": 4,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64,
               "rope_scaling": null, "tie_word_embeddings": false,
               "quantization_config": {"quant_method": "compressed-tensors",
                "format": "pack-quantized", "ignore": ["lm_head", "re:.*self_attn.*"],
                "config_groups": {"group_0": {"targets": ["Linear"],
                 "weights": {"type": "int", "num_bits": 4, "strategy": "group",
                  "group_size": 10, "symmetric": true}}}}}
              """,
              Packages::convert),
          new Model(
              "latent-softmax-cast-to-bf16",
              """
              {"model_type": "deepseek_v2", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 14, "num_hidden_layers": 2, "first_k_dense_replace": 0,
               "intermediate_size": 9, "moe_intermediate_size": 11, "n_routed_experts": 6,
               "n_shared_experts": 2, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
               "topk_method": "group_limited_greedy", "norm_topk_prob": false,
               "routed_scaling_factor": 3.0, "num_attention_heads": 3, "q_lora_rank": null,
               "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 5,
               "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": null,
               "max_position_embeddings": 64, "tie_word_embeddings": false,
               "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
              """,
              (checkpoint, target) -> Packages.cast(checkpoint, target, Dtype.BF16)),
          new Model(
              "latent-epsilon-and-yarn-beyond-its-dimensions",
              """
              {"model_type": "deepseek_v2", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 10, "num_hidden_layers": 1, "first_k_dense_replace": 0,
               "intermediate_size": 9, "moe_intermediate_size": 7, "n_routed_experts": 4,
               "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
               "topk_method": "greedy", "norm_topk_prob": false, "routed_scaling_factor": 1.5,
               "num_attention_heads": 2, "q_lora_rank": 6, "kv_lora_rank": 5,
               "qk_nope_head_dim": 3, "qk_rope_head_dim": 8, "v_head_dim": 4,
               "rms_norm_eps": 1e-6, "rope_theta": 10.0, "max_position_embeddings": 64,
               "rope_scaling": {"type": "yarn", "factor": 16, "mscale": 0.5,
                "mscale_all_dim": 1.0, "beta_fast": 512, "beta_slow": 1,
                "original_max_position_embeddings": 4096}, "tie_word_embeddings": false}
              """,
              (checkpoint, target) ->
                  Packages.convert(
                      checkpoint,
                      target,
                      blocks(
                          b ->
                              b.withAttention(
                                  withEpsilon((Attention.MultiHeadLatent) b.attention(), 0.25))))),
          new Model(
              "latent-yarn-whose-ends-meet",
              """
              {"model_type": "deepseek_v2", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 10, "num_hidden_layers": 1, "first_k_dense_replace": 0,
               "intermediate_size": 9, "moe_intermediate_size": 7, "n_routed_experts": 4,
               "n_shared_experts": null, "num_experts_per_tok": 2, "n_group": 1,
               "topk_group": 1, "topk_method": "greedy", "norm_topk_prob": false,
               "routed_scaling_factor": 1.0, "num_attention_heads": 2, "q_lora_rank": null,
               "kv_lora_rank": 5, "qk_nope_head_dim": 3, "qk_rope_head_dim": 8, "v_head_dim": 4,
               "rms_norm_eps": 1e-6, "rope_theta": 10.0, "max_position_embeddings": 64,
               "rope_scaling": {"type": "yarn", "factor": 16, "mscale": 1.0,
                "mscale_all_dim": 1.0, "beta_fast": 32, "beta_slow": 1,
                "original_max_position_embeddings": 4}, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "latent-temperature-from-zero",
              """
              {"model_type": "mistral4", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 10, "num_hidden_layers": 1, "first_k_dense_replace": 0,
               "intermediate_size": 9, "moe_intermediate_size": 7, "n_routed_experts": 6,
               "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
               "norm_topk_prob": true, "routed_scaling_factor": 1.5, "num_attention_heads": 2,
               "q_lora_rank": 6, "kv_lora_rank": 5, "qk_nope_head_dim": 3,
               "qk_rope_head_dim": 4, "v_head_dim": 4, "rms_norm_eps": 1e-6,
               "max_position_embeddings": 64, "rope_parameters": {"rope_type": "yarn",
                "rope_theta": 10.0, "factor": 16, "mscale": 1.0, "mscale_all_dim": 1.0,
                "llama_4_scaling_beta": 0.5, "original_max_position_embeddings": 3},
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "sigmoid-bias-in-the-weights",
              """
              {"model_type": "deepseek_v3", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 10, "num_hidden_layers": 1, "first_k_dense_replace": 0,
               "intermediate_size": 9, "moe_intermediate_size": 7, "n_routed_experts": 6,
               "n_shared_experts": 0, "num_experts_per_tok": 3, "n_group": 2, "topk_group": 1,
               "topk_method": "noaux_tc", "norm_topk_prob": true, "routed_scaling_factor": 2.0,
               "num_attention_heads": 2, "q_lora_rank": null, "kv_lora_rank": 5,
               "qk_nope_head_dim": 3, "qk_rope_head_dim": 4, "v_head_dim": 4,
               "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": null,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              (checkpoint, target) ->
                  Packages.convert(
                      checkpoint,
                      target,
                      routing(
                          r ->
                              r.withBias(Routing.Bias.SELECTION_AND_WEIGHTS)
                                  .withNormalisation(new Routing.Normalisation(0.125))))),
          new Model(
              "sinks-clamp-biases-and-exact-yarn",
              """
              {"model_type": "gpt_oss", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 2, "intermediate_size": 10, "num_local_experts": 5,
               "num_experts_per_tok": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
               "head_dim": 8, "attention_bias": true, "rms_norm_eps": 1e-5,
               "rope_theta": 1000.0, "sliding_window": 3, "max_position_embeddings": 64,
               "rope_scaling": {"rope_type": "yarn", "factor": 8.0, "beta_fast": 8.0,
                "beta_slow": 1.0, "original_max_position_embeddings": 256, "truncate": false},
               "tie_word_embeddings": false}
              """,
              (checkpoint, target) ->
                  Packages.convert(
                      checkpoint,
                      target,
                      experts(
                          m -> Parts.with(m, "clamp", new FeedForward.Clamp(0.75, 1.702, 0.5))))),
          new Model(
              "centred-norms-and-clip",
              """
              {"model_type": "dbrx", "vocab_size": 19, "d_model": 16, "n_heads": 4, "n_layers": 2,
               "max_seq_len": 64, "attn_config": {"clip_qkv": 0.75, "kv_n_heads": 2,
                "rope_theta": 10000.0}, "ffn_config": {"ffn_hidden_size": 10,
                "moe_num_experts": 5, "moe_top_k": 2, "moe_normalize_expert_weights": 1},
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "multipliers",
              """
              {"model_type": "granitemoe", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 10,
               "num_local_experts": 5, "num_experts_per_tok": 2, "num_attention_heads": 2,
               "num_key_value_heads": 1, "attention_multiplier": 0.25,
               "embedding_multiplier": 3.0, "residual_multiplier": 0.5, "logits_scaling": 4.0,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": null,
               "max_position_embeddings": 64, "tie_word_embeddings": true}
              """,
              Packages::convert),
          new Model(
              "chunks-temperature-and-weights-of-what-experts-read",
              """
              {"model_type": "llama4_text", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 4, "intermediate_size": 10,
               "intermediate_size_mlp": 9, "interleave_moe_layer_step": 2,
               "num_local_experts": 5, "num_experts_per_tok": 2, "num_attention_heads": 4,
               "num_key_value_heads": 2, "head_dim": 8, "attention_bias": false,
               "attention_chunk_size": 3, "no_rope_layer_interval": 4,
               "attn_temperature_tuning": true, "attn_scale": 0.5, "floor_scale": 2,
               "use_qk_norm": true, "rms_norm_eps": 1e-5, "rope_theta": 1000.0,
               "rope_scaling": {"rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0,
                "high_freq_factor": 1.0, "original_max_position_embeddings": 64},
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "switched-shared-biases-and-linear-scaling",
              """
              {"model_type": "qwen2_moe", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "moe_intermediate_size": 10,
               "shared_expert_intermediate_size": 7, "num_experts": 5,
               "num_experts_per_tok": 2, "norm_topk_prob": false, "decoder_sparse_step": 1,
               "mlp_only_layers": [], "num_attention_heads": 2, "num_key_value_heads": 2,
               "qkv_bias": true, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
               "rope_scaling": {"type": "linear", "factor": 4.0},
               "max_position_embeddings": 64, "use_sliding_window": false,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "norms-over-all-heads-that-turn-in-part",
              """
              {"model_type": "minimax_m2", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 10,
               "num_local_experts": 6, "num_experts_per_tok": 3, "num_attention_heads": 4,
               "num_key_value_heads": 2, "head_dim": 6, "rotary_dim": 4, "use_qk_norm": true,
               "qk_norm_type": "per_layer", "use_routing_bias": true,
               "scoring_func": "sigmoid", "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "norms-over-all-heads-before-a-clip",
              """
              {"model_type": "olmoe", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 2, "intermediate_size": 10, "num_experts": 5,
               "num_experts_per_tok": 2, "norm_topk_prob": false, "num_attention_heads": 2,
               "num_key_value_heads": 2, "clip_qkv": 0.75, "attention_bias": false,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": null,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "norms-of-what-halves-make",
              """
              {"model_type": "flex_olmo", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 10,
               "num_experts": 5, "num_experts_per_tok": 2, "norm_topk_prob": false,
               "num_attention_heads": 2, "num_key_value_heads": 1, "attention_bias": false,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": null,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "mixed-experts-norm-biases-and-longrope",
              """
              {"model_type": "phimoe", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 10,
               "num_local_experts": 6, "num_experts_per_tok": 2, "num_attention_heads": 2,
               "num_key_value_heads": 1, "attention_bias": true, "lm_head_bias": true,
               "router_jitter_noise": 0.4, "rms_norm_eps": 1e-5, "rope_theta": 1000.0,
               "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5, 3.0],
                "long_factor": [1.0, 2.0, 8.0], "short_mscale": 1.25, "long_mscale": 1.5,
                "original_max_position_embeddings": 32},
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "least-sum-of-weights",
              """
              {"model_type": "ernie4_5_moe", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 9,
               "moe_intermediate_size": 10, "moe_num_experts": 6, "moe_k": 2,
               "moe_num_shared_experts": 1, "moe_layer_start_index": 1,
               "moe_layer_interval": 1, "moe_norm_min": 0.5, "num_attention_heads": 4,
               "num_key_value_heads": 2, "head_dim": 6, "use_bias": false,
               "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "max_position_embeddings": 64,
               "tie_word_embeddings": true}
              """,
              Packages::convert),
          new Model(
              "positions-that-an-indexer-chooses",
              """
              {"model_type": "deepseek_v32", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 14, "num_hidden_layers": 2, "first_k_dense_replace": 1,
               "intermediate_size": 13, "moe_intermediate_size": 11, "n_routed_experts": 4,
               "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
               "norm_topk_prob": true, "routed_scaling_factor": 1.5, "num_attention_heads": 2,
               "q_lora_rank": 9, "kv_lora_rank": 7, "qk_nope_head_dim": 5,
               "qk_rope_head_dim": 4, "v_head_dim": 4, "index_topk": 4, "index_head_dim": 6,
               "index_n_heads": 9, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
               "max_position_embeddings": 64, "rope_scaling": null,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "blocks-that-an-indexer-chooses",
              """
              {"model_type": "minimax_m3_vl_text", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 10,
               "dense_intermediate_size": 9, "shared_intermediate_size": 7,
               "num_local_experts": 6, "num_experts_per_tok": 2, "routed_scaling_factor": 2.0,
               "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
               "index_n_heads": 2, "index_head_dim": 8, "index_block_size": 2,
               "index_topk_blocks": 2, "index_local_blocks": 1, "swiglu_limit": 0.5,
               "swiglu_alpha": 1.5, "layer_types": ["minimax_m3_sparse", "minimax_m3_sparse"],
               "mlp_layer_types": ["dense", "sparse"], "rms_norm_eps": 1e-5,
               "rope_theta": 10000.0, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "gates-of-what-heads-read",
              """
              {"model_type": "afmoe", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "num_dense_layers": 1,
               "intermediate_size": 9, "moe_intermediate_size": 10, "num_experts": 6,
               "num_experts_per_tok": 2, "num_shared_experts": 1, "route_scale": 2.5,
               "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
               "global_attn_every_n_layers": 2, "sliding_window": 3, "mup_enabled": true,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "halves-side-by-side",
              """
              {"model_type": "cohere2_moe", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 10,
               "num_experts": 6, "num_experts_per_tok": 2, "num_shared_experts": 2,
               "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
               "sliding_window": 3, "sliding_window_pattern": 2, "logit_scale": 0.5,
               "layer_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64}
              """,
              Packages::convert),
          new Model(
              "gates-of-heads-and-a-cap-of-router-logits",
              """
              {"model_type": "laguna", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 9,
               "moe_intermediate_size": 10, "shared_expert_intermediate_size": 7,
               "num_experts": 6, "num_experts_per_tok": 2, "moe_routed_scaling_factor": 2.5,
               "moe_router_logit_softcapping": 1.5, "num_attention_heads": 4,
               "num_attention_heads_per_layer": [4, 6], "num_key_value_heads": 2,
               "head_dim": 6, "sliding_window": 3,
               "layer_types": ["full_attention", "sliding_attention"],
               "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 1000.0,
                 "partial_rotary_factor": 0.67},
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}},
               "rms_norm_eps": 1e-6, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "values-narrower-than-keys",
              """
              {"model_type": "mimo_v2_flash", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 9,
               "moe_intermediate_size": 10, "n_routed_experts": 6, "num_experts_per_tok": 2,
               "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 6,
               "v_head_dim": 4, "sliding_window": 3,
               "layer_types": ["full_attention", "sliding_attention"],
               "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 1000.0,
                 "partial_rotary_factor": 0.334},
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0,
                 "partial_rotary_factor": 0.67}},
               "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "biases-by-distance-of-each-layer",
              """
              {"model_type": "glam", "vocab_size": 19, "d_model": 12, "num_hidden_layers": 3,
               "num_heads": 2, "d_kv": 6, "d_ff": 10, "num_experts": 6, "capacity_factor": 0.75,
               "moe_step": 2, "relative_attention_num_buckets": 4,
               "relative_attention_max_distance": 5, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "experts-of-each-of-two-prototypes",
              """
              {"model_type": "m6_t", "vocab_size": 19, "d_model": 12, "num_hidden_layers": 2,
               "num_heads": 2, "d_kv": 6, "d_ff": 10, "num_experts": 6, "num_prototypes": 2,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "a-table-and-no-router",
              """
              {"model_type": "pangu_sigma", "vocab_size": 19, "d_model": 12,
               "num_hidden_layers": 2, "num_heads": 2, "d_kv": 6, "d_ff": 10, "num_experts": 5,
               "num_dense_layers": 1, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "mixed-experts-of-a-pyramid-that-take-three-at-least",
              """
              {"model_type": "deepspeed_moe", "vocab_size": 19, "d_model": 12,
               "num_hidden_layers": 2, "num_heads": 2, "d_kv": 6, "d_ff": 10,
               "num_experts": [3, 6], "min_capacity": 3, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "a-router-by-angles",
              """
              {"model_type": "tutel", "vocab_size": 19, "d_model": 12, "num_hidden_layers": 2,
               "num_heads": 2, "d_kv": 6, "d_ff": 10, "num_experts": 6, "proj_dim": 5,
               "num_experts_per_tok": 2, "max_position_embeddings": 64,
               "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "gates-of-two-levels",
              """
              {"model_type": "hierarchical_moe", "vocab_size": 19, "d_model": 12,
               "num_hidden_layers": 2, "num_heads": 2, "d_kv": 6, "d_ff": 10, "num_experts": 12,
               "num_groups": 4, "primary_top_k": 2, "secondary_top_k": 2,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "an-image-and-experts-that-the-surest-tokens-reach-first",
              """
              {"model_type": "v_moe", "num_classes": 19, "classifier": "token",
               "representation_size": null, "image_size": 6, "patch_size": 2, "hidden_size": 12,
               "num_layers": 2, "num_heads": 2, "mlp_dim": 10, "moe_layers": [1],
               "num_experts": 5, "num_selected_experts": 2, "group_size": 10,
               "batch_priority": true, "capacity_factor": 0.75, "capacity_multiple_of": 0}
              """,
              Packages::convert),
          new Model(
              "gates-and-towers-of-tasks",
              """
              {"model_type": "mmoe", "num_fields": 6, "num_features": 5, "num_tasks": 3,
               "num_outputs": 2, "tower_size": 7, "num_experts": 4, "d_ff": 10, "d_model": 12,
               "num_hidden_layers": 2, "num_heads": 2}
              """,
              Packages::convert),
          new Model(
              "a-cap-of-scores-and-int8-in-groups",
              """
              {"model_type": "grok-1", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 2, "intermediate_size": 10, "num_experts": 5,
               "num_experts_per_tok": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
               "head_dim": 6, "max_attn_value": 1.5, "attn_output_multiplier": 0.4,
               "embedding_multiplier_scale": 3.0, "output_multiplier_scale": 0.5,
               "rms_norm_eps": 1e-5, "max_position_embeddings": 64, "quantization_config":
                {"quant_method": "QuantizedWeight8bit", "model_shards": 2}}
              """,
              Packages::convert),
          new Model("normed-heads-and-llama3-scaling", QWEN3, Packages::convert),
          // No family has these together: the order of what happens to queries shows.
          new Model(
              "clip-rotation-norm-temperature-in-this-order",
              QWEN3,
              (checkpoint, target) ->
                  Packages.convert(
                      checkpoint,
                      target,
                      blocks(
                          b ->
                              b.withAttention(
                                  inAnotherOrder((Attention.GroupedQuery) b.attention()))))));

  private NumericModels() {}

  private static Attention withEpsilon(Attention.MultiHeadLatent a, double epsilon) {
    return Parts.with(a, "latentNormEpsilon", epsilon);
  }

  private static Attention inAnotherOrder(Attention.GroupedQuery a) {
    var norm = new Attention.QueryKeyNorm(Attention.NormSpan.HEAD, 1e-6, true, true);
    var normed = Parts.with(Parts.with(a, "queryKeyNorm", norm), "clip", 0.75);
    var tempered = Parts.with(normed, "temperature", new Attention.Temperature(0.5, 2));
    return Parts.with(tempered, "chunk", 4).withWindow(3);
  }
}

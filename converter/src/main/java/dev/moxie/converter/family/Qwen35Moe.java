package dev.moxie.converter.family;

import dev.moxie.format.model.Attention.Projections;
import java.util.List;

/**
 * The text models of Qwen3.5-35B-A3B, -122B-A10B and -397B-A17B, and of Qwen3.6-35B-A3B (Qwen Team,
 * "Qwen3.5", 2026; transformers {@code models/qwen3_5_moe/modeling_qwen3_5_moe.py}): as Qwen3-Next,
 * with a matrix for each kind of projection. A release has them within a model that sees as well:
 * experts fused, or, in fp8, one by one.
 */
final class Qwen35Moe {
  private static final Layout TEXT =
      Delta.released(
          Names.weights(
              "delta.mixed", "linear_attn.in_proj_qkv",
              "delta.gate", "linear_attn.in_proj_z",
              "delta.write", "linear_attn.in_proj_b",
              "delta.decay", "linear_attn.in_proj_a"));
  private static final String WITHIN = "model.language_model.";
  private static final Layout APART = TEXT.under("model.", WITHIN, "experts apart");
  private static final Layout RELEASED = Names.fused(APART, WITHIN + "layers.{layer}.mlp.");

  private static final Keys KEYS =
      Delta.KEYS
          .and(Experts.NORMALISED.constant(true))
          .and(Key.flag("attn_output_gate", "whether attention's output is gated").only(true))
          .and(Qwen3Moe.DENSE.only(List.of()))
          .and(Delta.PREDICTION.spelled("mtp_num_hidden_layers"))
          .and(Key.flag("mtp_use_dedicated_embeddings", "whether it has its own").only(false))
          .neutral("there are no layers without experts", "intermediate_size")
          .neutral("weights are always normalised", "norm_topk_prob")
          .neutral("states are float32 here", "mamba_ssm_dtype")
          .neutral("a token of text has one position", Composite.POSITIONS);

  static final Family FAMILY =
      new Family(
              "qwen3_5_moe",
              "Qwen3_5MoeForCausalLM",
              KEYS,
              c -> Delta.model(c, Projections.BY_KIND, i -> false),
              Delta.predicting(
                  RELEASED, APART, RELEASED.as("released"), APART, TEXT, Names.fused(TEXT)))
          .called("qwen3_5_moe_text")
          .within(
              Composite.of("qwen3_5_moe", "Qwen3_5MoeForConditionalGeneration", "model.visual."));

  private Qwen35Moe() {}
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Attention.Projections;

/**
 * Qwen3-Next-80B-A3B (Qwen Team, "Qwen3-Next", 2025; transformers {@code
 * models/qwen3_next/modeling_qwen3_next.py}): states by the gated delta rule, whose projections
 * stand together by key head, and gated attention in every fourth layer.
 */
final class Qwen3Next {
  private static final Layout RELEASED =
      Delta.released(
          Names.weights(
              "delta.mixed", "linear_attn.in_proj_qkvz",
              "delta.write_decay", "linear_attn.in_proj_ba"));
  private static final Layout FUSED = Names.fused(RELEASED);

  static final Family FAMILY =
      new Family(
          "qwen3_next",
          "Qwen3NextForCausalLM",
          Delta.KEYS
              .and(Experts.NORMALISED.or(true))
              .and(Experts.DENSE_WIDTH, Experts.STEP, Qwen3Moe.DENSE),
          c -> Delta.model(c, Projections.BY_KEY_HEAD, i -> Qwen3Moe.isDense(c, i)),
          Delta.predicting(RELEASED, FUSED, RELEASED, FUSED));

  private Qwen3Next() {}
}

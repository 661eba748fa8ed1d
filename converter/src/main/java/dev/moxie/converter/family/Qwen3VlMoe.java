package dev.moxie.converter.family;

import dev.moxie.format.model.Attention;
import java.util.List;

/**
 * The text models of Qwen3-VL-30B-A3B and -235B-A22B (Qwen Team, "Qwen3-VL", 2025; transformers
 * {@code models/qwen3_vl_moe/modeling_qwen3_vl_moe.py}): as Qwen3, always normalised, within a
 * model that sees. A release has experts fused and transposed, whatever its shapes look like.
 */
final class Qwen3VlMoe {
  private static final String WITHIN = "model.language_model.";
  private static final String EXPERTS = WITHIN + "layers.{layer}.mlp.experts.";
  private static final Layout RELEASED =
      Names.released(Names.LLAMA, Names.DENSE, Names.EXPERTS)
          .under("model.", WITHIN, "released")
          .and("experts.gate_up.weight", EXPERTS + "gate_up_proj", Arrangement.HALVES_TRANSPOSED)
          .and("experts.down.weight", EXPERTS + "down_proj", Arrangement.STACKED_TRANSPOSED);

  private static final Keys KEYS =
      Llama.KEYS
          .and(Llama.BIASES, Llama.TIED.or(true))
          .and(Experts.KEYS)
          .and(Experts.COUNT.spelled("num_experts", "num_local_experts"))
          .and(Experts.NORMALISED.constant(true), Experts.DENSE_WIDTH, Experts.STEP, Qwen3Moe.DENSE)
          .neutral("weights are always normalised", "norm_topk_prob")
          .neutral("the class has no windows", "sliding_window")
          .neutral("a token of text has one position", Composite.POSITIONS);

  static final Family FAMILY =
      new Family(
              "qwen3_vl_moe",
              "Qwen3VLMoeTextModel",
              KEYS,
              c -> {
                var attention = Llama.normed(c, Llama.attention(c), Attention.NormSpan.HEAD);
                return Qwen3Moe.model(c, i -> attention, Experts.of(c, Experts.softmax(c)));
              },
              List.of(RELEASED))
          .called("qwen3_vl_moe_text")
          .within(Composite.of("qwen3_vl_moe", "Qwen3VLMoeForConditionalGeneration"))
          .notLoading("model.visual.");

  private Qwen3VlMoe() {}
}

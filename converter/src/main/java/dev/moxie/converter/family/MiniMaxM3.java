package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention.NormSpan;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.Set;
import java.util.function.IntPredicate;

/**
 * The text model of MiniMax-M3 (MiniMax, "MiniMax-M3", 2026; transformers {@code
 * models/minimax_m3_vl/modeling_minimax_m3_vl.py}): heads of most layers see blocks that an indexer
 * chooses, and every network holds its products within bounds.
 */
final class MiniMaxM3 {
  private static final Key<Integer> SHARED =
      Key.count("shared_intermediate_size", Limits.MAX_WIDTH, "width inside the shared expert")
          .or(3072);
  private static final Key<Double> LIMIT =
      Key.positive("swiglu_limit", "what gates and products are held within").or(7.0);
  private static final Key<Double> SHARPNESS =
      Key.positive("swiglu_alpha", "what gates are multiplied by inside the sigmoid").or(1.702);

  private static final Keys KEYS =
      Llama.KEYS
          .and(RotarySettings.PARTIAL.any().or(1.0), Llama.HEAD_SIZE.or(128), Llama.KEY_HEADS.or(4))
          .and(BlockIndexers.KEYS)
          .and(Key.kinds(Experts.KINDS, "moe_layer_freq", Experts.DENSE, Experts.SPARSE))
          .and(Experts.DENSE_FIRST.constant(0))
          .and(Experts.KEYS.and(LIMIT, SHARPNESS, SHARED, Experts.SCALE.or(2.0)))
          .and(Key.word("hidden_act", "the activation", Set.of("silu", "swigluoai")).or("silu"))
          .and(Experts.COUNT.spelled("num_local_experts", "num_experts"))
          .and(Experts.WIDTH.spelled("intermediate_size"), Experts.NORMALISED.constant(true))
          .and(Experts.DENSE_WIDTH.spelled("dense_intermediate_size").or(12288))
          .neutral("partial_rotary_factor says what is turned", "rotary_dim");

  static final Family FAMILY =
      new Family(
              "minimax_m3_vl", "MiniMaxM3VLForCausalLM", KEYS, MiniMaxM3::model, Names.MINIMAX_M3)
          .called("minimax_m3_vl_text")
          .within(Composite.MINIMAX)
          .notLoading("mtp.");

  private MiniMaxM3() {}

  private static Architecture model(Settings c) {
    var plain = Llama.attention(c, Llama.rotary(c, Rotary.Pairing.HALVES));
    var attention = BlockIndexers.attention(c, Llama.normed(c, plain, NormSpan.HEAD));
    var clamp = new FeedForward.Clamp(c.get(LIMIT), c.get(SHARPNESS), 1);
    var dense = Parts.with(Experts.dense(c), "clamp", clamp);
    var routing = Experts.route(c, Routing.Score.SIGMOID).withBias(Routing.Bias.SELECTION);
    var clamped = Parts.with(Experts.of(c, routing, null), "clamp", clamp);
    var shared = new FeedForward.SharedExperts(c.get(SHARED), false, true);
    var factors = FeedForward.OutputFactors.of(c.get(Experts.SCALE), 1);
    var experts = Parts.with(Parts.with(clamped, "shared", shared), "outputFactors", factors);
    IntPredicate without = Experts.withoutExperts(c, 0);
    var model = Llama.model(c, attention, i -> without.test(i) ? dense : experts);
    return Parts.with(model, "offsetNorms", true);
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Set;

/**
 * MiniMax-M2 and its successors to M2.7 (transformers {@code
 * models/minimax_m2/modeling_minimax_m2.py}): a bias steers the choice, queries and keys are normed
 * over all heads, positions turn a part of each head.
 */
final class MiniMax {
  static final Key<Integer> TURNED =
      Key.count("rotary_dim", Limits.MAX_WIDTH, "dimensions of each head that positions turn")
          .orNone();
  private static final Key<List<Integer>> KINDS =
      Key.numbers("attn_type_list", "1 for each layer").or(List.of(1));

  private static final String NETWORK = "model.layers.{layer}.mlp.";
  private static final Layout RELEASED =
      Names.released(
          Names.LLAMA,
          Names.BLOCK_SPARSE,
          Names.inLayer("router.bias", "block_sparse_moe.e_score_correction_bias"));

  static final Family M2 =
      new Family(
          "minimax_m2",
          "MiniMaxM2ForCausalLM",
          Llama.KEYS
              .and(RotarySettings.PARTIAL.any().or(1.0), TURNED, KINDS, Llama.NORMED.only(true))
              .and(Key.text("qk_norm_type", "what a norm goes over").only("per_layer"))
              .and(Experts.KEYS)
              .and(Experts.COUNT.spelled("num_local_experts"))
              .and(Experts.WIDTH.spelled("intermediate_size"), Experts.NORMALISED.constant(true))
              .and(Key.text("scoring_func", "score of an expert").only("sigmoid"))
              .and(Key.flag("use_routing_bias", "whether a bias steers the choice").only(true))
              .and(Experts.SHARED.spelled("shared_intermediate_size").only(0))
              .neutral(
                  "width or kind of what no layer has", "mlp_intermediate_size", "shared_moe_mode")
              .neutral("about modules that are not in the files", "mtp_transformer_layers")
              .neutral("about modules that are not in the files", "num_mtp_modules", "use_mtp"),
          MiniMax::second,
          List.of(
              RELEASED,
              Names.fused(RELEASED)
                  .and("router.bias", NETWORK + "e_score_correction_bias", Arrangement.ITSELF)));

  private MiniMax() {}

  private static Architecture second(Settings c) {
    Integer stated = c.find(TURNED);
    boolean alone = c.stated(RotarySettings.PARTIAL).isEmpty();
    int turned = RotarySettings.turned(c, Llama.headSize(c));
    if (stated != null && stated != turned && !alone) {
      throw c.wrong(TURNED, "partial_rotary_factor of a head, " + turned, stated);
    }
    var rotary = RotarySettings.of(c, stated == null ? turned : stated, Rotary.Pairing.HALVES);
    if (!Set.copyOf(c.get(KINDS)).equals(Set.of(1))) {
      throw c.unsupported(KINDS, "1 for every layer", c.get(KINDS));
    }
    var attention = Llama.normed(c, Llama.attention(c, rotary), Attention.NormSpan.ALL_HEADS);
    var routing = Experts.route(c, Routing.Score.SIGMOID).withBias(Routing.Bias.SELECTION);
    return Llama.model(c, attention, Experts.of(c, routing));
  }
}

package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Set;

/**
 * MiniMax-M2 and its successors to M2.7 (transformers {@code
 * models/minimax_m2/modeling_minimax_m2.py}): a bias steers the choice, queries and keys are normed
 * over all heads, positions turn a part of each head.
 */
final class MiniMax {
  static final Family M2 =
      new Family(
          "minimax_m2",
          Set.of("minimax_m2"),
          "MiniMaxM2ForCausalLM",
          MiniMax::second,
          List.of(
              Layout.of(
                  "released",
                  Names.join(
                      Names.LLAMA,
                      Names.BLOCK_SPARSE,
                      Names.inLayer("router.bias", "block_sparse_moe.e_score_correction_bias")))),
          null);

  private MiniMax() {}

  private static Architecture second(Config config) {
    requirePlain(config);
    int size = Llama.headSize(config);
    Integer turned = config.countOrNull("rotary_dim", size);
    var rotary = RotarySettings.partial(config, size, turned == null ? 1 : (double) turned / size);
    if (turned != null && turned != rotary.dimensions()) {
      throw config.wrong(
          "rotary_dim", "partial_rotary_factor of a head, " + rotary.dimensions(), "" + turned);
    }
    var attention =
        Llama.normed(Llama.attention(config, rotary), Attention.NormSpan.ALL_HEADS, config);
    int experts = config.count("num_local_experts", Limits.MAX_EXPERTS);
    var routing =
        Routing.of(config.count("num_experts_per_tok", experts), Routing.Score.SIGMOID)
            .withBias(Routing.Bias.SELECTION)
            .withNormalisation(new Routing.Normalisation(0));
    var mixture = Llama.experts(config, experts, "intermediate_size", routing, null);
    return Llama.model(config, Layers.of(Llama.layers(config), i -> attention, i -> mixture));
  }

  /** Refuses values that no release has; modules that predict further are not in the files. */
  private static void requirePlain(Config config) {
    config.requireTextIfAny("scoring_func", "sigmoid");
    config.requireTextIfAny("qk_norm_type", "per_layer");
    config.requireFlagIfAny("use_qk_norm", true);
    config.requireFlagIfAny("use_routing_bias", true);
    if (config.has("attn_type_list")
        && !Set.copyOf(config.numbers("attn_type_list")).equals(Set.of(1))) {
      throw config.unsupported(
          "attn_type_list", "1 for every layer", config.numbers("attn_type_list").toString());
    }
    config.neutral("mtp_transformer_layers", "num_mtp_modules", "use_mtp");
    // Widths and modes of what no layer has.
    config.neutral("mlp_intermediate_size", "shared_moe_mode");
    if (config.has("shared_intermediate_size")) {
      config.whole("shared_intermediate_size", 0, 0);
    }
  }
}

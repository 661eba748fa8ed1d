package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Set;

/**
 * ERNIE 4.5, text (Baidu, "ERNIE 4.5 Technical Report", 2025; transformers {@code
 * models/ernie4_5_moe/modeling_ernie4_5_moe.py}): softmax with a bias for the choice, interleaved
 * rotary dimensions.
 */
final class Ernie {
  private static final Layout LAYOUT =
      Layout.of("released", Names.join(Names.LLAMA, Names.DENSE, Names.EXPERTS, Names.SHARED))
          .and(
              "router.bias",
              "model.layers.{layer}.mlp.moe_statics.e_score_correction_bias",
              Arrangement.ROW);

  static final Family FAMILY =
      new Family(
          "ernie4_5_moe",
          Set.of("ernie4_5_moe"),
          "Ernie4_5_MoeForCausalLM",
          Ernie::architecture,
          List.of(LAYOUT),
          null);

  private Ernie() {}

  private static Architecture architecture(Config config) {
    config.requireFlagIfAny("use_bias", false);
    int size = Llama.headSize(config);
    var attention =
        Llama.attention(config, RotarySettings.of(config, size, Rotary.Pairing.INTERLEAVED));
    int experts = config.count(config.either("moe_num_experts", "num_experts"), Limits.MAX_EXPERTS);
    int k = config.count(config.either("moe_k", "num_experts_per_tok"), experts);
    double least = config.has("moe_norm_min") ? config.positive("moe_norm_min") : 1e-12;
    var routing =
        Routing.of(k, Routing.Score.SOFTMAX)
            .withBias(Routing.Bias.SELECTION)
            .withNormalisation(new Routing.Normalisation(0, least));
    int width = config.count("moe_intermediate_size", Limits.MAX_WIDTH);
    var shared = Llama.shared(config, "moe_num_shared_experts", width);
    var mixture = Llama.experts(config, experts, "moe_intermediate_size", routing, shared);
    int layers = Llama.layers(config);
    int first = config.whole("moe_layer_start_index", 0, layers);
    int end =
        config.has("moe_layer_end_index") ? config.whole("moe_layer_end_index", -1, layers) : -1;
    int last = end == -1 ? layers - 1 : end;
    int step =
        config.has("moe_layer_interval") ? config.whole("moe_layer_interval", 1, 1 << 20) : 1;
    var dense = Llama.dense(config, "intermediate_size");
    return Llama.model(
        config,
        Layers.of(
            layers,
            i -> attention,
            i -> (i + 1) % step == 0 && i >= first && i <= last ? mixture : dense),
        true);
  }
}

package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import java.util.List;
import java.util.Set;

/**
 * GLM-4.5, 4.6, 4.7 and their Air (GLM-4.5 Team, "GLM-4.5: Agentic, Reasoning, and Coding
 * Foundation Models", 2025; transformers {@code models/glm4_moe/modeling_glm4_moe.py}):
 * DeepSeek-V3's experts behind grouped attention of which positions turn half of each head.
 */
final class Glm {
  static final Family GLM4_MOE =
      new Family(
          "glm4_moe",
          Set.of("glm4_moe"),
          "Glm4MoeForCausalLM",
          Glm::fourth,
          List.of(
              Layout.of(
                  "released",
                  Names.join(
                      Names.LLAMA,
                      Names.DENSE,
                      Names.EXPERTS,
                      Names.SHARED,
                      Names.PREDICTION,
                      Names.inLayer("router.bias", "mlp.gate.e_score_correction_bias")))),
          DeepSeek.PREDICTION_KEY);

  private Glm() {}

  private static Architecture fourth(Config config) {
    int size = Llama.headSize(config);
    Attention.GroupedQuery plain =
        Llama.biased(
            Llama.attention(config, RotarySettings.partial(config, size, 0.5)),
            config.flag("attention_bias", false),
            false);
    var attention =
        config.flag("use_qk_norm", false)
            ? Llama.normed(plain, Attention.NormSpan.HEAD, config)
            : plain;
    FeedForward mixture = DeepSeek.experts(config, DeepSeek.routingV3(config));
    List<Architecture.Blocks> blocks = DeepSeek.blocks(config, attention, mixture);
    int predicting = DeepSeek.predictionLayers(config);
    Architecture model = Llama.model(config, blocks);
    return predicting == 0
        ? model
        : Parts.with(
            model, "prediction", new Architecture.Prediction(predicting, attention, mixture));
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import java.util.List;

/**
 * GLM-4.5, 4.6, 4.7 and their Air (GLM-4.5 Team, "GLM-4.5: Agentic, Reasoning, and Coding
 * Foundation Models", 2025; transformers {@code models/glm4_moe/modeling_glm4_moe.py}):
 * DeepSeek-V3's experts behind grouped attention of which positions turn half of each head.
 */
final class Glm {
  static final Family GLM4_MOE =
      new Family(
          "glm4_moe",
          "Glm4MoeForCausalLM",
          Llama.KEYS
              .and(RotarySettings.PARTIAL.any().or(0.5), Llama.NORMED)
              .and(Llama.INPUT_BIASES.spelled("attention_bias").or(false))
              .and(DeepSeekV3.EXPERTS),
          Glm::fourth,
          List.of(Names.released(Names.LLAMA, Names.DEEPSEEK)));

  private Glm() {}

  private static Architecture fourth(Settings c) {
    var plain = Llama.attention(c);
    var attention = c.get(Llama.NORMED) ? Llama.normed(c, plain, Attention.NormSpan.HEAD) : plain;
    return Experts.model(c, attention, Experts.of(c, DeepSeekV3.routing(c)));
  }
}

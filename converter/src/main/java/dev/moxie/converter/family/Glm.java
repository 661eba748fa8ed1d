package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.Set;

/**
 * GLM-4.5, 4.6, 4.7 and their Air (GLM-4.5 Team, "GLM-4.5: Agentic, Reasoning, and Coding
 * Foundation Models", 2025; transformers {@code models/glm4_moe/modeling_glm4_moe.py}):
 * DeepSeek-V3's experts behind grouped attention of which positions turn half of each head.
 */
final class Glm {
  private static final String OFFSET = "index_skip_topk_offset";
  private static final Key<List<String>> INDEXERS =
      Key.texts("indexer_types", "whether a layer has an indexer or shares another's choice")
          .orNone();

  static final Family GLM4_MOE =
      new Family(
          "glm4_moe",
          "Glm4MoeForCausalLM",
          Llama.KEYS
              .and(RotarySettings.PARTIAL.or(0.5), Llama.NORMED)
              .and(Llama.INPUT_BIASES.spelled("attention_bias").or(false))
              .and(DeepSeekV3.EXPERTS),
          Glm::fourth,
          List.of(Names.released(Names.LLAMA, Names.DEEPSEEK)));

  /** GLM-5: DeepSeek-V3.2's attention, whose indexer turns neighbouring dimensions. */
  static final Family DSA =
      new Family(
          "glm_moe_dsa",
          "GlmMoeDsaForCausalLM",
          DeepSeekV32.KEYS
              .and(DeepSeekV32.HEADS.or(32), Experts.GROUPS.or(1), Experts.KEPT_GROUPS.or(1))
              .and(Key.flag("rope_interleave", "whether neighbours are turned").only(true))
              .and(Key.flag("indexer_rope_interleave", "likewise in indexers").only(true))
              .and(INDEXERS, Key.count("index_topk_freq", 1 << 20, "of so many one").only(1))
              .neutral("says from where on layers share choices, which none does", OFFSET),
          Glm::fifth,
          List.of(DeepSeekV32.RELEASED));

  private Glm() {}

  private static Architecture fifth(Settings c) {
    List<String> indexers = c.find(INDEXERS);
    if (indexers != null && !Set.copyOf(indexers).equals(Set.of("full"))) {
      throw c.unsupported(INDEXERS, "full for every layer", indexers);
    }
    return DeepSeekV32.model(c, Rotary.Pairing.INTERLEAVED);
  }

  private static Architecture fourth(Settings c) {
    var plain = Llama.attention(c);
    var attention = c.get(Llama.NORMED) ? Llama.normed(c, plain, Attention.NormSpan.HEAD) : plain;
    return Experts.model(c, attention, Experts.of(c, DeepSeekV3.routing(c)));
  }
}

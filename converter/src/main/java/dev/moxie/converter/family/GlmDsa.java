package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.Set;

/**
 * GLM-5 (GLM-5 Team, "GLM-5", 2026; transformers {@code
 * models/glm_moe_dsa/modeling_glm_moe_dsa.py}): DeepSeek-V3.2's attention, whose indexer turns
 * neighbouring dimensions.
 */
final class GlmDsa {
  private static final String FULL = "full";
  private static final Key<List<String>> INDEXERS =
      Key.texts("indexer_types", "whether a layer has an indexer or shares another's choice")
          .orNone();

  static final Family FAMILY =
      new Family(
          "glm_moe_dsa",
          "GlmMoeDsaForCausalLM",
          DeepSeekV32.KEYS
              .and(DeepSeekV32.HEADS.or(32), Experts.GROUPS.or(1), Experts.KEPT_GROUPS.or(1))
              .and(Key.flag("rope_interleave", "whether neighbours are turned").only(true))
              .and(Key.flag("indexer_rope_interleave", "likewise in indexers").only(true))
              .and(INDEXERS, Key.count("index_topk_freq", 1 << 20, "of so many one").only(1))
              .and(Key.text("moe_router_dtype", "precision of routing").only("float32"))
              .neutral("of a pattern that no frequency of 1 has", "index_skip_topk_offset")
              .neutral("of layers for prediction alone", "index_share_for_mtp_iteration"),
          GlmDsa::model,
          List.of(DeepSeekV32.RELEASED));

  private GlmDsa() {}

  private static Architecture model(Settings c) {
    List<String> indexers = c.find(INDEXERS);
    if (indexers != null && !Set.copyOf(indexers).equals(Set.of(FULL))) {
      throw c.unsupported(INDEXERS, FULL + " for every layer", indexers);
    }
    return DeepSeekV32.model(c, Rotary.Pairing.INTERLEAVED);
  }
}

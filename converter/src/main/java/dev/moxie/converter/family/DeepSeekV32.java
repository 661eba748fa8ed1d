package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.Set;

/**
 * DeepSeek-V3.2 (DeepSeek-AI, "DeepSeek-V3.2", 2025; transformers {@code
 * models/deepseek_v32/modeling_deepseek_v32.py}): DeepSeek-V3 whose tokens see those positions that
 * an indexer chooses. Its heads are turned by halves, those of the attention by neighbours.
 */
final class DeepSeekV32 {
  private static final Key<Integer> KEPT =
      Key.count("index_topk", Limits.MAX_WIDTH, "positions that a token sees at most");
  private static final Key<Integer> SIZE =
      Key.count("index_head_dim", Limits.MAX_WIDTH, "width of an indexer's heads").or(128);
  static final Key<Integer> HEADS =
      Key.count("index_n_heads", Limits.MAX_HEADS, "heads of an indexer");
  private static final Key<Double> EPSILON =
      Key.positive("indexer.k_norm", "epsilon of the norm of an indexer's keys").constant(1e-6);

  static final Keys KEYS =
      Latent.KEYS
          .and(Llama.TYPES, KEPT.or(2048), SIZE, HEADS.or(64), EPSILON)
          .and(DeepSeekV3.EXPERTS)
          .and(Experts.KINDS, Experts.DENSE_FIRST.or(3), Experts.SCALE.or(2.5))
          .and(Experts.GROUPS.or(8), Experts.KEPT_GROUPS.or(4));

  static final Layout RELEASED =
      Names.released(Names.LLAMA, Names.LATENT, Names.INDEXER, Names.DEEPSEEK);

  static final Family FAMILY =
      new Family(
          "deepseek_v32",
          "DeepseekV32ForCausalLM",
          KEYS,
          c -> model(c, Rotary.Pairing.HALVES),
          List.of(RELEASED));

  private DeepSeekV32() {}

  static Architecture model(Settings c, Rotary.Pairing pairing) {
    List<String> types = c.find(Llama.TYPES);
    if (types != null && !Set.copyOf(types).equals(Set.of("indexed_attention"))) {
      throw c.unsupported(Llama.TYPES, "indexed_attention for every layer", types);
    }
    var indexer =
        new Attention.Indexer(c.get(HEADS), c.get(SIZE), c.get(KEPT), c.get(EPSILON), pairing);
    var attention = Latent.attention(c, Rotary.Pairing.INTERLEAVED);
    return Experts.model(
        c, Parts.with(attention, "indexer", indexer), Experts.of(c, DeepSeekV3.routing(c)));
  }
}

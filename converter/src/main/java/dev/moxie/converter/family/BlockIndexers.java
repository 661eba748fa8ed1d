package dev.moxie.converter.family;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;

/**
 * What config.json says of indexers that choose blocks (transformers {@code
 * models/minimax_m3_vl/configuration_minimax_m3_vl.py}), in both spellings: keys, and the attention
 * that follows from them.
 */
final class BlockIndexers {
  private static final String FORMER = "sparse_attention_config.";
  private static final String SPARSE = "minimax_m3_sparse";

  private static final Key<Integer> HEADS =
      Key.count("index_n_heads", Limits.MAX_HEADS, "groups of heads that see the same blocks")
          .also(FORMER + "sparse_num_index_heads")
          .or(4);
  private static final Key<Integer> SIZE =
      Key.count("index_head_dim", Limits.MAX_WIDTH, "width of an indexer's queries and keys")
          .also(FORMER + "sparse_index_dim")
          .or(128);
  private static final Key<Integer> BLOCK =
      Key.count("index_block_size", Limits.MAX_WIDTH, "positions of a block")
          .also(FORMER + "sparse_block_size")
          .or(128);
  private static final Key<Integer> KEPT =
      Key.count("index_topk_blocks", Limits.MAX_WIDTH, "blocks that a head sees")
          .also(FORMER + "sparse_topk_blocks")
          .or(16);
  private static final Key<Integer> LOCAL =
      Key.whole("index_local_blocks", 0, Limits.MAX_WIDTH, "of these the last ones, always seen")
          .also(FORMER + "sparse_local_block")
          .or(1);

  static final Keys KEYS =
      Keys.of(HEADS, SIZE, BLOCK, KEPT, LOCAL)
          .and(Key.kinds(Llama.TYPES, FORMER + "sparse_attention_freq", Llama.FULL, SPARSE));

  private BlockIndexers() {}

  /** Names of an indexer's tensors. */
  static Map<String, String> names(String prefix) {
    return Names.weights(
        "attention.index_query", prefix + "q_proj",
        "attention.index_query_norm", prefix + "q_norm",
        "attention.index_key", prefix + "k_proj",
        "attention.index_key_norm", prefix + "k_norm");
  }

  /** The attention of each layer, with an indexer in those that a list says so of. */
  static IntFunction<Attention.GroupedQuery> attention(
      Settings c, Attention.GroupedQuery attention) {
    int heads = attention.heads();
    int groups = c.get(HEADS);
    if (heads % groups != 0) {
      throw c.wrong(HEADS, "a divisor of " + heads + " heads", groups);
    }
    var indexer =
        new Attention.BlockIndexer(
            groups,
            c.get(SIZE),
            c.get(BLOCK),
            c.get(KEPT),
            c.atMost(LOCAL, c.get(KEPT)),
            c.get(Llama.EPSILON));
    var some = Parts.with(attention, "blockIndexer", indexer);
    IntPredicate listed = Llama.listed(c, SPARSE, i -> false);
    return i -> listed.test(i) ? some : attention;
  }
}

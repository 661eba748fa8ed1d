package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Compressed attention as the config.json of DeepSeek-V4 says it, in the release's spelling and in
 * that of transformers 5: keys, names, and the parts that follow from them.
 */
final class Compressed {
  private static final String WINDOWED = "sliding_attention";
  private static final String SPARSE = "compressed_sparse_attention";
  private static final String HEAVY = "heavily_compressed_attention";
  private static final List<String> TYPES = List.of(WINDOWED, SPARSE, HEAVY);

  /** What transformers takes an entry of {@code compress_ratios} for. */
  private static final List<Integer> RATIOS = List.of(0, 4, 128);

  private static final Key<Integer> QUERY_RANK =
      Key.count("q_lora_rank", Limits.MAX_WIDTH, "width of the queries' latent");
  private static final Key<Integer> GROUPS =
      Key.count("o_groups", Limits.MAX_HEADS, "groups of heads");
  private static final Key<Integer> GROUP_RANK =
      Key.count("o_lora_rank", Limits.MAX_WIDTH, "width of what a group's output is taken to");
  private static final Key<Integer> INDEX_HEADS =
      Key.count("index_n_heads", Limits.MAX_HEADS, "heads of an indexer");
  private static final Key<Integer> INDEX_SIZE =
      Key.count("index_head_dim", Limits.MAX_WIDTH, "width of an indexer's heads");
  private static final Key<Integer> KEPT =
      Key.count("index_topk", Limits.MAX_WIDTH, "entries that a token sees at most");
  private static final Key<Integer> TURNED =
      Key.count("qk_rope_head_dim", Limits.MAX_WIDTH, "part of a head that positions turn")
          .orNone();
  private static final Key<Double> PART =
      Key.positive("partial_rotary_factor", "the same as a part of it")
          .spelled(
              "partial_rotary_factor",
              "rope_parameters.main.partial_rotary_factor",
              "rope_parameters.compress.partial_rotary_factor")
          .orNone();
  private static final Key<Double> NEAR =
      RotarySettings.THETA.spelled("rope_theta", "rope_parameters.main.rope_theta").or(10000.0);
  private static final Key<String> UNSCALED =
      Key.text("rope_parameters.main.rope_type", "how angles are stretched").only("default");
  private static final Key<String> STRETCHED =
      Key.text("rope_parameters.compress.rope_type", "default or yarn, where there are entries")
          .orNone();
  private static final Key<Double> FAR =
      Key.positive("compress_rope_theta", "base of the angles where there are entries")
          .spelled("compress_rope_theta", "rope_parameters.compress.rope_theta")
          .or(160000.0);
  private static final Key<List<Integer>> RATIO =
      Key.numbers("compress_ratios", "0, 4 or 128 tokens of an entry, for each layer").orNone();
  private static final Key<Integer> SPARSE_RATE =
      rate(SPARSE, "compress_rate_csa", "tokens of an entry where entries overlap").or(4);
  private static final Key<Integer> HEAVY_RATE =
      rate(HEAVY, "compress_rate_hca", "tokens of an entry where they do not").or(128);

  /** Kinds of the second halves of layers. */
  static final Key<List<String>> KINDS =
      Key.texts("mlp_layer_types", "hash_moe or moe for each layer").orNone();

  static final Key<Integer> ASSIGNED =
      Key.whole("num_hash_layers", 0, Limits.MAX_LAYERS, "layers whose experts tokens have, first")
          .or(3);

  static final Keys KEYS =
      Keys.of(
              Llama.VOCABULARY,
              Llama.HIDDEN,
              Llama.POSITIONS,
              Llama.EPSILON,
              Llama.TIED,
              Llama.LAYERS,
              Llama.HEADS,
              Llama.KEY_HEADS.only(1),
              Llama.HEAD_SIZE,
              Llama.WINDOW,
              Llama.TYPES,
              Llama.BIASES.only(false))
          .and(QUERY_RANK, GROUPS, GROUP_RANK, INDEX_HEADS, INDEX_SIZE, KEPT)
          .and(TURNED, PART, FAR, RATIO, SPARSE_RATE, HEAVY_RATE)
          .and(NEAR, UNSCALED, STRETCHED, RotarySettings.SCALING);

  static final Layout RELEASED = Layout.of("released", names());

  private Compressed() {}

  private static Key<Integer> rate(String type, String former, String meaning) {
    String name = "compress_rates." + type;
    return Key.count(name, Limits.MAX_WIDTH, meaning).spelled(name, former);
  }

  private static Map<String, String> names() {
    return Names.under(
        "layers.{layer}.",
        Names.join(
            Names.ends("embed", "norm", "head"),
            Map.of(
                "final_streams.weight", "hc_head_fn",
                "final_streams.factors", "hc_head_scale",
                "final_streams.shift", "hc_head_base"),
            Names.weights(
                "attention_norm", "attn_norm",
                "feed_forward_norm", "ffn_norm",
                "attention.query_down", "attn.wq_a",
                "attention.query_norm", "attn.q_norm",
                "attention.query_up", "attn.wq_b",
                "attention.key_value", "attn.wkv",
                "attention.key_value_norm", "attn.kv_norm",
                "attention.output_down", "attn.wo_a",
                "attention.output", "attn.wo_b",
                "attention.entry", "attn.compressor.wkv",
                "attention.entry_gate", "attn.compressor.wgate",
                "attention.entry_norm", "attn.compressor.norm",
                "attention.index_query", "attn.indexer.wq_b",
                "attention.index_weights", "attn.indexer.weights_proj",
                "attention.index_key", "attn.indexer.compressor.wkv",
                "attention.index_gate", "attn.indexer.compressor.wgate",
                "attention.index_key_norm", "attn.indexer.compressor.norm",
                "router", "ffn.gate",
                "shared.gate", "ffn.shared_experts.w1",
                "shared.up", "ffn.shared_experts.w3",
                "shared.down", "ffn.shared_experts.w2",
                "experts.{expert}.gate", "ffn.experts.{expert}.w1",
                "experts.{expert}.up", "ffn.experts.{expert}.w3",
                "experts.{expert}.down", "ffn.experts.{expert}.w2"),
            Names.inLayer(
                "attention.sinks", "attn.attn_sink",
                "attention.entry_place.weight", "attn.compressor.ape",
                "attention.index_place.weight", "attn.indexer.compressor.ape",
                "router.bias", "ffn.gate.bias",
                "router.table", "ffn.gate.tid2eid",
                "attention_streams.weight", "hc_attn_fn",
                "attention_streams.factors", "hc_attn_scale",
                "attention_streams.shift", "hc_attn_base",
                "feed_forward_streams.weight", "hc_ffn_fn",
                "feed_forward_streams.factors", "hc_ffn_scale",
                "feed_forward_streams.shift", "hc_ffn_base")));
  }

  /** Which layers have experts by token, counted from 0. */
  static IntPredicate assigned(Settings c) {
    List<String> kinds = c.find(KINDS);
    if (kinds == null) {
      return i -> i < c.get(ASSIGNED);
    }
    int layers = c.get(Llama.LAYERS);
    if (kinds.size() != layers || !List.of("hash_moe", "moe").containsAll(kinds)) {
      throw c.unsupported(KINDS, layers + " times hash_moe or moe", kinds);
    }
    return i -> kinds.get(i).equals("hash_moe");
  }

  /** The attention of each layer, counted from 0. */
  static IntFunction<Attention.Compressed> attention(Settings c) {
    List<String> types = types(c);
    return i -> attention(c, types.get(i));
  }

  private static List<String> types(Settings c) {
    int layers = c.get(Llama.LAYERS);
    List<String> types = c.find(Llama.TYPES);
    List<Integer> ratios = c.find(RATIO);
    if (types == null && ratios != null) {
      if (ratios.size() < layers || !RATIOS.containsAll(ratios)) {
        throw c.unsupported(RATIO, layers + " times 0, 4 or 128", ratios);
      }
      return ratios.stream().limit(layers).map(r -> TYPES.get(RATIOS.indexOf(r))).toList();
    }
    if (types == null) {
      return IntStream.range(0, layers)
          .mapToObj(i -> i < 2 || i % 2 == 0 ? HEAVY : SPARSE)
          .toList();
    }
    if (types.size() != layers || !TYPES.containsAll(types)) {
      throw c.unsupported(Llama.TYPES, layers + " times one of " + TYPES, types);
    }
    return types;
  }

  private static Attention.Compressed attention(Settings c, String type) {
    int size = Llama.headSize(c);
    boolean near = type.equals(WINDOWED);
    var rotary = near ? plain(c, size) : far(c, size);
    return new Attention.Compressed(
        c.get(Llama.HEADS),
        size,
        c.get(QUERY_RANK),
        1 / Math.sqrt(size),
        c.get(Llama.WINDOW),
        c.get(GROUPS),
        c.get(GROUP_RANK),
        c.get(Llama.EPSILON),
        rotary,
        compression(c, type));
  }

  private static Rotary plain(Settings c, int size) {
    return new Rotary(c.get(NEAR), turned(c, size), pairs(), null);
  }

  /**
   * Of what a scaling declares, which layers with entries have, none makes cosines larger, unless
   * it stands where transformers 5 writes it.
   */
  private static Rotary far(Settings c, int size) {
    String type = c.find(STRETCHED);
    if (type != null && !type.equals("default")) {
      if (!type.equals("yarn")) {
        throw c.unsupported(STRETCHED, "default or yarn", type);
      }
      Config stretch = c.config().object("rope_parameters").object("compress");
      Rotary.Yarn yarn = RotarySettings.yarn(stretch, false);
      RotarySettings.requireWholeBounds(stretch, yarn);
      return new Rotary(c.get(FAR), turned(c, size), pairs(), yarn);
    }
    Rotary.@Nullable Scaling stretch = RotarySettings.of(c, turned(c, size), pairs()).scaling();
    List<Config> objects =
        c.stated(RotarySettings.SCALING).stream().map(c.config()::object).toList();
    objects.forEach(object -> RotarySettings.requireWholeBounds(object, stretch));
    boolean stated = objects.stream().anyMatch(object -> object.has("attention_factor"));
    Rotary.@Nullable Scaling scaling =
        stretch instanceof Rotary.Yarn yarn && !stated
            ? Parts.with(yarn, "magnitude", 1.0)
            : stretch;
    return new Rotary(c.get(FAR), turned(c, size), pairs(), scaling);
  }

  private static Rotary.Pairing pairs() {
    return Rotary.Pairing.INTERLEAVED;
  }

  private static int turned(Settings c, int size) {
    Integer stated = c.find(TURNED);
    Double part = c.find(PART);
    double factor = part != null ? part : stated == null ? 0.125 : (double) stated / size;
    return (int) (size * factor);
  }

  private static Attention.@Nullable Compression compression(Settings c, String type) {
    return switch (type) {
      case SPARSE ->
          new Attention.Compression(
              c.get(SPARSE_RATE),
              true,
              new Attention.Indexer(
                  c.get(INDEX_HEADS),
                  c.get(INDEX_SIZE),
                  c.get(KEPT),
                  c.get(Llama.EPSILON),
                  pairs()));
      case HEAVY -> new Attention.Compression(c.get(HEAVY_RATE), false, null);
      default -> null;
    };
  }
}

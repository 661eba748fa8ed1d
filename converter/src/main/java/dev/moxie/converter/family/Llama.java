package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * What the config.json of families that descend from Llama says alike (transformers {@code
 * models/llama/configuration_llama.py}): keys, and the parts that follow from them.
 */
final class Llama {
  static final Key<Integer> VOCABULARY =
      Key.count("vocab_size", Limits.MAX_VOCABULARY, "tokens that there are");
  static final Key<Integer> HIDDEN =
      Key.count("hidden_size", Limits.MAX_WIDTH, "width of the residual stream");
  static final Key<Integer> POSITIONS =
      Key.count("max_position_embeddings", Integer.MAX_VALUE, "longest sequence it is made for");
  static final Key<Double> EPSILON = Key.positive("rms_norm_eps", "epsilon of the norms");
  static final Key<Boolean> TIED =
      Key.flag("tie_word_embeddings", "whether the head is the embedding").or(false);
  static final Key<Integer> LAYERS =
      Key.count("num_hidden_layers", Limits.MAX_LAYERS, "decoder layers");
  static final Key<Integer> HEADS =
      Key.count("num_attention_heads", Limits.MAX_HEADS, "query heads");
  static final Key<Integer> KEY_HEADS =
      Key.count(
              "num_key_value_heads",
              Limits.MAX_HEADS,
              "heads of keys and values, as many as of queries where there is no value")
          .orNone();
  static final Key<Integer> HEAD_SIZE =
      Key.count(
              "head_dim",
              Limits.MAX_WIDTH,
              "width of a head, its part of hidden_size where there is no value")
          .orNone();

  /** Of queries, keys, values and outputs. */
  static final Key<Boolean> BIASES =
      Key.flag("attention_bias", "biases of all four projections of attention").or(false);

  /** Not of outputs; some families spell it like the one above. */
  static final Key<Boolean> INPUT_BIASES =
      Key.flag("qkv_bias", "biases of queries, keys and values");

  static final Key<Boolean> NORMED =
      Key.flag("use_qk_norm", "whether queries and keys are normed").or(false);
  static final Key<Double> CLIP =
      Key.positive("clip_qkv", "what queries, keys and values are held within").orNone();
  static final Key<Integer> WINDOW =
      Key.count("sliding_window", Integer.MAX_VALUE, "tokens that a layer with a window sees")
          .orNone();
  static final Key<Integer> PERIOD =
      Key.count(
          "sliding_window_pattern", Experts.MAX_STEP, "of so many layers the last sees everything");
  static final Key<List<String>> TYPES =
      Key.texts("layer_types", "the kind of attention of each layer").orNone();

  static final Keys KEYS =
      Keys.of(VOCABULARY, HIDDEN, POSITIONS, EPSILON, TIED, LAYERS, HEADS, KEY_HEADS, HEAD_SIZE)
          .and(RotarySettings.KEYS);

  static final String WINDOWED = "sliding_attention";
  static final String FULL = "full_attention";

  private Llama() {}

  /** A model of layers that are alike. */
  static Architecture model(Settings c, Attention attention, FeedForward feedForward) {
    return model(c, i -> attention, i -> feedForward);
  }

  /** A model of layers that differ, counted from 0. */
  static Architecture model(
      Settings c,
      IntFunction<? extends Attention> attention,
      IntFunction<? extends FeedForward> feedForward) {
    return model(c, c.get(LAYERS), attention, feedForward);
  }

  /** So many of them. */
  static Architecture model(
      Settings c,
      int layers,
      IntFunction<? extends Attention> attention,
      IntFunction<? extends FeedForward> feedForward) {
    return new Architecture(
        c.get(VOCABULARY),
        c.get(HIDDEN),
        c.get(POSITIONS),
        c.get(EPSILON),
        c.get(TIED),
        Layers.of(layers, attention, feedForward),
        null);
  }

  /** Attention in which dimensions are turned in pairs of a head's halves. */
  static Attention.GroupedQuery attention(Settings c) {
    return attention(c, rotary(c, Rotary.Pairing.HALVES));
  }

  /** How positions turn heads, or the part of each that the family has a key for. */
  static Rotary rotary(Settings c, Rotary.Pairing pairing) {
    return RotarySettings.of(c, RotarySettings.turned(c, headSize(c)), pairing);
  }

  /** Attention with a rotary embedding of the family's own; with what the family has keys for. */
  static Attention.GroupedQuery attention(Settings c, @Nullable Rotary rotary) {
    int heads = c.get(HEADS);
    Integer stated = c.find(KEY_HEADS);
    int keyHeads = stated == null ? heads : c.atMost(KEY_HEADS, heads);
    if (heads % keyHeads != 0) {
      throw c.wrong(KEY_HEADS, "a divisor of " + heads + " heads", keyHeads);
    }
    int size = headSize(c);
    var plain =
        new Attention.GroupedQuery(heads, keyHeads, size, 1 / Math.sqrt(size), null, rotary);
    var clipped = Parts.with(plain, "clip", c.find(CLIP));
    var biased = Parts.with(clipped, "biases", c.on(BIASES) || c.on(INPUT_BIASES));
    return Parts.with(biased, "outputBias", c.on(BIASES));
  }

  /** Width of a head, stated or following from the hidden size. */
  static int headSize(Settings c) {
    Integer stated = c.find(HEAD_SIZE);
    if (stated != null) {
      return stated;
    }
    int heads = c.get(HEADS);
    int hidden = c.get(HIDDEN);
    if (hidden % heads != 0) {
      throw c.wrong(
          HEADS,
          "a divisor of %s %d, since no width of a head is stated"
              .formatted(c.name(HIDDEN), hidden),
          heads);
    }
    return hidden / heads;
  }

  /** The attention with normed queries and keys. */
  static Attention.GroupedQuery normed(
      Settings c, Attention.GroupedQuery attention, Attention.NormSpan span) {
    var norm = new Attention.QueryKeyNorm(span, c.get(EPSILON), true, false);
    return Parts.with(attention, "queryKeyNorm", norm);
  }

  /** The attention of all layers alike; the class reads no list, which can but say the same. */
  static Attention.GroupedQuery alike(
      Settings c, Attention.GroupedQuery attention, @Nullable Integer window) {
    String type = window == null ? FULL : WINDOWED;
    List<String> types = c.find(TYPES);
    if (types != null && !Set.copyOf(types).equals(Set.of(type))) {
      throw c.unsupported(TYPES, type + " for every layer, as sliding_window says", types);
    }
    return attention.withWindow(window);
  }

  /**
   * The attention of each layer, with a window in those that {@code layer_types} says so of.
   *
   * @param types the kinds of attention where config.json has no list of them; true is one with a
   *     window
   */
  static IntFunction<Attention.GroupedQuery> windowed(
      Settings c, Attention.GroupedQuery attention, IntPredicate types) {
    IntPredicate windowed = listed(c, WINDOWED, types);
    return i -> windowed.test(i) ? attention.withWindow(c.get(WINDOW)) : attention;
  }

  /** The attention of each layer, in which those without a window know no positions. */
  static IntFunction<Attention.GroupedQuery> turnedNear(
      Settings c, Attention.GroupedQuery near, IntPredicate windows) {
    return i -> windows.test(i) ? near.withWindow(c.get(WINDOW)) : near.withRotary(null);
  }

  /** A list with an entry for each layer, or an empty one. */
  static <T> List<T> ofEachLayer(Settings c, Key<List<T>> key) {
    List<T> list = c.get(key);
    int layers = c.get(LAYERS);
    if (!list.isEmpty() && list.size() != layers) {
      throw c.wrong(key, "as many entries as layers, " + layers, list);
    }
    return list;
  }

  /**
   * Which layers {@code layer_types} says to be of a kind, all others attending to everything.
   *
   * @param otherwise where there is no list
   */
  static IntPredicate listed(Settings c, String kind, IntPredicate otherwise) {
    return listed(c, kind, Map.of(), otherwise);
  }

  /**
   * The same where kinds may be called as they were before.
   *
   * @param before earlier names and those of now
   */
  static IntPredicate listed(
      Settings c, String kind, Map<String, String> before, IntPredicate otherwise) {
    List<String> stated = c.find(TYPES);
    if (stated == null) {
      return otherwise;
    }
    int layers = c.get(LAYERS);
    List<String> types = stated.stream().map(t -> before.getOrDefault(t, t)).toList();
    if (types.size() != layers || !types.stream().allMatch(List.of(kind, FULL)::contains)) {
      throw c.unsupported(TYPES, "%d times %s or %s".formatted(layers, kind, FULL), stated);
    }
    return i -> types.get(i).equals(kind);
  }
}

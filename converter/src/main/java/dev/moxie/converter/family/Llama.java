package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Set;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * What the config.json of families that descend from Llama says alike (transformers {@code
 * models/llama/configuration_llama.py}).
 */
final class Llama {
  /** The key that lists the kinds of attention of a model's layers. */
  static final String TYPES = "layer_types";

  private static final String WINDOWED = "sliding_attention";
  private static final String FULL = "full_attention";

  private Llama() {}

  /** A model of such layers. */
  static Architecture model(Config config, List<Architecture.Blocks> blocks) {
    return model(config, blocks, false);
  }

  /** A model of such layers, tied or not where config.json does not say. */
  static Architecture model(Config config, List<Architecture.Blocks> blocks, boolean tied) {
    return new Architecture(
        config.count("vocab_size", Limits.MAX_VOCABULARY),
        config.count("hidden_size", Limits.MAX_WIDTH),
        config.count("max_position_embeddings", Integer.MAX_VALUE),
        config.positive("rms_norm_eps"),
        config.flag("tie_word_embeddings", tied),
        blocks,
        null);
  }

  /** How many decoder layers there are. */
  static int layers(Config config) {
    return config.count("num_hidden_layers", Limits.MAX_LAYERS);
  }

  /** Attention in which positions turn whole heads, in halves. */
  static Attention.GroupedQuery attention(Config config) {
    int size = headSize(config);
    return attention(config, RotarySettings.of(config, size, Rotary.Pairing.HALVES));
  }

  /** Attention with a rotary embedding of the family's own. */
  static Attention.GroupedQuery attention(Config config, @Nullable Rotary rotary) {
    int heads = config.count("num_attention_heads", Limits.MAX_HEADS);
    Integer shared = config.countOrNull("num_key_value_heads", heads);
    if (shared != null && heads % shared != 0) {
      throw config.wrong("num_key_value_heads", "a divisor of " + heads + " heads", "" + shared);
    }
    int size = headSize(config);
    return new Attention.GroupedQuery(
        heads, shared == null ? heads : shared, size, 1 / Math.sqrt(size), null, rotary);
  }

  /** Width of a head, stated or following from the hidden size. */
  static int headSize(Config config) {
    Integer stated = config.countOrNull("head_dim", Limits.MAX_WIDTH);
    if (stated != null) {
      return stated;
    }
    int heads = config.count("num_attention_heads", Limits.MAX_HEADS);
    int hidden = config.count("hidden_size", Limits.MAX_WIDTH);
    if (hidden % heads != 0) {
      throw config.wrong(
          "num_attention_heads",
          "a divisor of hidden_size " + hidden + ", since head_dim is absent",
          String.valueOf(heads));
    }
    return hidden / heads;
  }

  /** The attention with biases where {@code attention_bias} says so, or a key of that meaning. */
  static Attention.GroupedQuery biased(
      Attention.GroupedQuery attention, boolean biases, boolean outputToo) {
    return Parts.with(Parts.with(attention, "biases", biases), "outputBias", biases && outputToo);
  }

  /** The attention with normed queries and keys. */
  static Attention.GroupedQuery normed(
      Attention.GroupedQuery attention, Attention.NormSpan span, Config config) {
    var norm = new Attention.QueryKeyNorm(span, config.positive("rms_norm_eps"), true, false);
    return Parts.with(attention, "queryKeyNorm", norm);
  }

  /** The attention of all layers alike; the class reads no list, which can but say the same. */
  static Attention.GroupedQuery alike(
      Config config, Attention.GroupedQuery attention, @Nullable Integer window) {
    String type = window == null ? FULL : WINDOWED;
    if (config.has(TYPES) && !Set.copyOf(config.texts(TYPES)).equals(Set.of(type))) {
      throw config.unsupported(
          TYPES, type + " for every layer, as sliding_window says", config.texts(TYPES).toString());
    }
    return attention.withWindow(window);
  }

  /**
   * The attention of each layer, with a window in those that {@code layer_types} says so of.
   *
   * @param types the kinds of attention where config.json has no list of them; true is one with a
   *     window
   * @param window null where config.json states none, which no layer may then need
   */
  static IntFunction<Attention.GroupedQuery> windowed(
      Config config,
      Attention.GroupedQuery attention,
      IntPredicate types,
      @Nullable Integer window) {
    IntPredicate windowed = config.has(TYPES) ? stated(config, WINDOWED) : types;
    if (window == null && IntStream.range(0, layers(config)).anyMatch(windowed)) {
      throw config.wrong("sliding_window", "a value, since some layers have a window", "none");
    }
    Attention.GroupedQuery within = attention.withWindow(window);
    return i -> windowed.test(i) ? within : attention;
  }

  /** Which layers {@code layer_types} says to be of a kind, all others attending to everything. */
  static IntPredicate stated(Config config, String kind) {
    List<String> stated = config.texts(TYPES);
    boolean known = stated.stream().allMatch(List.of(kind, FULL)::contains);
    if (!known || stated.size() != layers(config)) {
      throw config.unsupported(
          TYPES, "%d times %s or %s".formatted(layers(config), kind, FULL), stated.toString());
    }
    return i -> stated.get(i).equals(kind);
  }

  /** A gated network with the activation that config.json names. */
  static FeedForward.Dense dense(Config config, String width) {
    config.requireText("hidden_act", "silu");
    return new FeedForward.Dense(
        config.count(width, Limits.MAX_WIDTH), FeedForward.Activation.SILU);
  }

  /** Experts with the activation that config.json names. */
  static FeedForward.MixtureOfExperts experts(
      Config config,
      int count,
      String width,
      Routing routing,
      FeedForward.@Nullable SharedExperts shared) {
    config.requireText("hidden_act", "silu");
    return new FeedForward.MixtureOfExperts(
        count, config.count(width, Limits.MAX_WIDTH), FeedForward.Activation.SILU, routing, shared);
  }

  /** Softmax over all experts; weights over their sum where {@code normalised}. */
  static Routing softmax(int expertsPerToken, boolean normalised) {
    return Routing.of(expertsPerToken, Routing.Score.SOFTMAX)
        .withNormalisation(normalised ? new Routing.Normalisation(0) : null);
  }

  /** Shared experts as wide as the given number of routed ones; null where there are none. */
  static FeedForward.@Nullable SharedExperts shared(Config config, String count, int width) {
    int shared = config.has(count) ? config.whole(count, 0, Limits.MAX_EXPERTS) : 0;
    return shared == 0 ? null : new FeedForward.SharedExperts(Math.multiplyExact(width, shared));
  }
}

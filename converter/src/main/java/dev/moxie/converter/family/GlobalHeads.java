package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;

/**
 * Attention with a window in most layers; the others, which see everything, have heads of another
 * size and rotary embeddings of their own, fewer heads of keys and values, and keys for values
 * (transformers {@code models/gemma4/configuration_gemma4.py}).
 */
final class GlobalHeads {
  private static final Key<Integer> SIZE =
      Key.count("global_head_dim", Limits.MAX_WIDTH, "width of a head without a window").or(512);
  private static final Key<Integer> KEY_HEADS =
      Key.count(
              "num_global_key_value_heads",
              Limits.MAX_HEADS,
              "heads of keys without a window, where these are values, too")
          .orNone();
  private static final Key<Boolean> KEYS_AS_VALUES =
      Key.flag("attention_k_eq_v", "whether keys are values without a window").or(false);

  /** Where transformers 5 writes it, the two above are not read. */
  private static final Key<Config> OF_LAYERS =
      Key.object("per_layer_config", "sizes of single layers' heads, by the layer's number")
          .orNone();

  private static final LayerRotary WINDOWED = LayerRotary.of(RotarySettings.WINDOWED);
  private static final LayerRotary GLOBAL = LayerRotary.of(RotarySettings.FULL);

  static final Keys KEYS =
      Llama.KEYS
          .without(RotarySettings.THETA, RotarySettings.PARTIAL, RotarySettings.SCALING)
          .and(WINDOWED.keys())
          .and(GLOBAL.keys())
          .and(Llama.BIASES, Llama.TYPES, Llama.WINDOW.or(512))
          .and(Llama.HEAD_SIZE.always(), Llama.KEY_HEADS.always())
          .and(SIZE, KEY_HEADS, KEYS_AS_VALUES, OF_LAYERS);

  private GlobalHeads() {}

  /** The attention of a layer, which is not scaled, since queries and keys are normed. */
  static Attention.GroupedQuery attention(Settings c, int layer, boolean windowed) {
    boolean keysAsValues = !windowed && c.get(KEYS_AS_VALUES);
    int base = c.get(Llama.HEAD_SIZE);
    int size = own(c, layer, Llama.HEAD_SIZE, windowed ? base : c.get(SIZE));
    Integer fewer = keysAsValues ? c.find(KEY_HEADS) : null;
    int keyHeads = own(c, layer, Llama.KEY_HEADS, fewer == null ? c.get(Llama.KEY_HEADS) : fewer);
    var plain =
        new Attention.GroupedQuery(
            c.get(Llama.HEADS),
            keyHeads,
            size,
            1,
            windowed ? c.get(Llama.WINDOW) : null,
            (windowed ? WINDOWED : GLOBAL).read(c, size));
    var biased = Parts.with(plain, "biases", c.on(Llama.BIASES));
    var both = Parts.with(biased, "outputBias", c.on(Llama.BIASES));
    var normed = Llama.normed(c, both, Attention.NormSpan.HEAD);
    var values = Parts.with(normed, "keysAsValues", keysAsValues);
    return Parts.with(values, "valueNorm", c.get(Llama.EPSILON));
  }

  private static int own(Settings c, int layer, Key<Integer> key, int otherwise) {
    Config layers = c.find(OF_LAYERS);
    if (layers == null) {
      return otherwise;
    }
    String name = layer + "." + key.name();
    return layers.has(name) ? key.read().apply(layers, name) : c.get(key);
  }
}

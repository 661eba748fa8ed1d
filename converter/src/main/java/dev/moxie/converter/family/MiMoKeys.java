package dev.moxie.converter.family;

import dev.moxie.format.model.Limits;

/**
 * Keys of MiMo-V2-Flash in both spellings: that of transformers 5, and that of the release, which
 * says everything of layers with a window a second time ({@code swa_}), and kinds of layers as
 * numbers (as SGLang's {@code srt/models/mimo_v2_flash.py} and NVIDIA's Megatron Bridge read them).
 */
final class MiMoKeys {
  private static final Key<Integer> WINDOW_KEY_HEADS =
      Key.count(
              "swa_num_key_value_heads",
              Limits.MAX_HEADS,
              "heads of keys and values in layers with a window, twice as many where there is no"
                  + " value")
          .orNone();

  /** Whether layers with a window have sinks. */
  static final Key<Boolean> WINDOW_SINKS =
      Key.flag("add_swa_attention_sink_bias", "sinks of layers with a window").or(true);

  /** Whether the others have. */
  static final Key<Boolean> SINKS =
      Key.flag("add_full_attention_sink_bias", "sinks of layers that see everything").or(false);

  static final Key<Integer> VALUE_SIZE =
      Key.count("v_head_dim", Limits.MAX_WIDTH, "width of a head's values")
          .spelled("v_head_dim", "swa_v_head_dim")
          .or(128);

  static final Keys ALL =
      RotarySettings.byKind(Llama.KEYS)
          .and(angle(RotarySettings.FULL, "rope_theta"))
          .and(angle(RotarySettings.WINDOWED, "swa_rope_theta"))
          .and(RotarySettings.FULL.part().orNone(), RotarySettings.WINDOWED.part().orNone())
          .and(RotarySettings.PARTIAL.spelled("partial_rotary_factor").any().orNone())
          .and(Llama.EPSILON.spelled("rms_norm_eps", "layernorm_epsilon"))
          .and(Llama.HEADS.spelled("num_attention_heads", "swa_num_attention_heads"))
          .and(Llama.HEAD_SIZE.spelled("head_dim", "swa_head_dim").or(192))
          .and(Llama.KEY_HEADS.or(4), WINDOW_KEY_HEADS, VALUE_SIZE, SINKS, WINDOW_SINKS)
          .and(
              Llama.WINDOW
                  .spelled("sliding_window", "sliding_window_size", "attention_chunk_size")
                  .or(128))
          .and(Key.kinds(Llama.TYPES, "hybrid_layer_pattern", Llama.FULL, Llama.WINDOWED))
          .and(Key.kinds(Experts.KINDS, "moe_layer_freq", Experts.DENSE, Experts.SPARSE));

  private MiMoKeys() {}

  private static Key<Double> angle(RotarySettings.OfKind kind, String otherwise) {
    return kind.theta().also(otherwise);
  }

  /** Heads of keys and values in layers with a window. */
  static int windowKeyHeads(Settings c) {
    Integer stated = c.find(WINDOW_KEY_HEADS);
    int heads = c.get(Llama.HEADS);
    if (stated == null) {
      return 2 * c.get(Llama.KEY_HEADS);
    }
    if (heads % stated != 0) {
      throw c.wrong(WINDOW_KEY_HEADS, "a divisor of " + heads + " heads", stated);
    }
    return stated;
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Rotary;
import java.util.List;

/**
 * Mellum 2 (JetBrains, 2026; transformers {@code models/mellum/modeling_mellum.py}): Qwen3's
 * layers, of which those with windows turn heads by angles of their own.
 */
final class Mellum {
  private static final Layout RELEASED = Names.released(Names.LLAMA, Names.DENSE, Names.EXPERTS);

  static final Family FAMILY =
      new Family(
          "mellum",
          "MellumForCausalLM",
          RotarySettings.byKind(Llama.KEYS)
              .and(Llama.BIASES, Llama.WINDOW, Llama.TYPES)
              .and(Experts.KEYS)
              .and(Experts.COUNT.spelled("num_experts", "num_local_experts"))
              .and(Experts.NORMALISED.or(true), Experts.DENSE_WIDTH, Experts.KINDS)
              .and(Experts.DENSE_FIRST.constant(0))
              .and(Key.flag("use_sliding_window", "whether there may be windows").only(true))
              .neutral("layer_types says it", "max_window_layers"),
          Mellum::model,
          List.of(RELEASED, Names.fused(RELEASED)));

  private Mellum() {}

  private static Architecture model(Settings c) {
    var windows = Llama.listed(c, Llama.WINDOWED, i -> false);
    var rotary = RotarySettings.byKind(c, windows, Rotary.Pairing.HALVES);
    var plain = Llama.normed(c, Llama.attention(c, null), Attention.NormSpan.HEAD);
    var attention = Llama.windowed(c, plain, i -> false);
    return Experts.model(
        c, i -> attention.apply(i).withRotary(rotary.apply(i)), Experts.of(c, Experts.softmax(c)));
  }
}

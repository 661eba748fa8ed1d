package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import java.util.List;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * Qwen3-30B-A3B, -235B-A22B and -Coder (Qwen Team, "Qwen3 Technical Report", 2025; transformers
 * {@code models/qwen3_moe/modeling_qwen3_moe.py}): queries and keys are normed head by head.
 */
final class Qwen3Moe {
  static final Key<List<Integer>> DENSE =
      Key.numbers("mlp_only_layers", "layers without experts, from 0").or(List.of());
  private static final Key<Boolean> WINDOWED =
      Key.flag("use_sliding_window", "whether there are windows").or(false);

  /** transformers writes 0 where there are none. */
  private static final Key<Integer> WINDOW =
      Key.whole("sliding_window", 0, Integer.MAX_VALUE, "tokens that a layer with a window sees")
          .orNone();

  /** What Qwen's mixtures of experts have in common. */
  static final Keys KEYS =
      Llama.KEYS
          .and(WINDOW, Llama.TYPES, WINDOWED)
          .and(Experts.KEYS)
          .and(Experts.COUNT.spelled("num_experts", "num_local_experts"))
          .and(Experts.NORMALISED.or(false), Experts.DENSE_WIDTH, Experts.STEP, DENSE);

  private static final Layout RELEASED = Names.released(Names.LLAMA, Names.DENSE, Names.EXPERTS);

  static final Family FAMILY =
      new Family(
          "qwen3_moe",
          "Qwen3MoeForCausalLM",
          KEYS.and(Llama.BIASES, Llama.NORMED.only(true))
              .neutral("a window is in every layer or in none", "max_window_layers"),
          Qwen3Moe::model,
          List.of(RELEASED, Names.fused(RELEASED)));

  private Qwen3Moe() {}

  private static Architecture model(Settings c) {
    var normed = Llama.normed(c, Llama.attention(c), Attention.NormSpan.HEAD);
    var attention = Llama.alike(c, normed, window(c));
    return model(c, i -> attention, Experts.of(c, Experts.softmax(c)));
  }

  /** Only where it is switched on. */
  static @Nullable Integer window(Settings c) {
    return c.on(WINDOWED) ? Integer.valueOf(c.get(WINDOW)) : null;
  }

  /** Experts in every so many layers, but in some by name. */
  static Architecture model(
      Settings c, IntFunction<Attention.GroupedQuery> attention, FeedForward experts) {
    return Llama.model(c, attention, i -> isDense(c, i) ? Experts.dense(c) : experts);
  }

  /** Whether a layer, counted from 0, has no experts. */
  static boolean isDense(Settings c, int layer) {
    return !Experts.isTurn(c, layer) || c.get(DENSE).contains(layer);
  }
}

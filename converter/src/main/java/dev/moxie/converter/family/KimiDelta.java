package dev.moxie.converter.family;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * What config.json says of layers with Kimi delta attention, as the release spells it, in an object
 * of its own, and as transformers 5 does ({@code models/kimi_linear/configuration_kimi_linear.py}):
 * keys, and what follows from them.
 */
final class KimiDelta {
  private static final String OBJECT = "linear_attn_config.";
  private static final Key<Integer> HEADS =
      Key.count("linear_num_heads", Limits.MAX_HEADS, "states of a layer")
          .spelled(OBJECT + "num_heads", "linear_num_heads");
  private static final Key<Integer> SIZE =
      Key.count("linear_head_dim", Limits.MAX_WIDTH, "rows of a state, and its columns")
          .spelled(OBJECT + "head_dim", "linear_head_dim");
  private static final Key<Integer> TAPS =
      Key.count("linear_conv_kernel_dim", Limits.MAX_TAPS, "tokens that a convolution spans")
          .spelled(OBJECT + "short_conv_kernel_size", "linear_conv_kernel_dim");
  private static final Key<List<Integer>> STATES =
      Key.numbers(OBJECT + "kda_layers", "layers that keep states, from 1").orNone();
  private static final Key<List<Integer>> FULL =
      Key.numbers(OBJECT + "full_attn_layers", "layers that attend to all tokens, from 1").orNone();

  static final Keys KEYS = Keys.of(HEADS, SIZE, TAPS, STATES, FULL, Llama.TYPES);

  /** Tensors of such a layer, but for convolutions and rates. */
  private static final Map<String, String> NAMES =
      Names.join(
          Names.weights(
              "delta.query", "self_attn.q_proj",
              "delta.key", "self_attn.k_proj",
              "delta.value", "self_attn.v_proj",
              "delta.write", "self_attn.b_proj",
              "delta.decay_down", "self_attn.f_a_proj",
              "delta.decay_up", "self_attn.f_b_proj",
              "delta.gate_down", "self_attn.g_a_proj",
              "delta.gate_up", "self_attn.g_b_proj",
              "delta.norm", "self_attn.o_norm",
              "delta.output", "self_attn.o_proj"),
          Names.inLayer("delta.decay_shift.weight", "self_attn.dt_bias"));

  private KimiDelta() {}

  /** The layout of those tensors and others. */
  static Layout released(Map<String, String> others) {
    String layer = "model.layers.{layer}.self_attn.";
    return Names.released(NAMES, others)
        .and("delta.query_convolution.weight", layer + "q_conv1d.weight", Arrangement.TAPS)
        .and("delta.key_convolution.weight", layer + "k_conv1d.weight", Arrangement.TAPS)
        .and("delta.value_convolution.weight", layer + "v_conv1d.weight", Arrangement.TAPS)
        .and("delta.decay_rate.weight", layer + "A_log", Arrangement.THIRD);
  }

  /** Decays and gates have latents as wide as a head. */
  static Attention.GatedDelta attention(Settings c) {
    int heads = c.get(HEADS);
    int size = c.get(SIZE);
    return new Attention.GatedDelta(
        heads,
        heads,
        size,
        size,
        c.get(TAPS),
        Delta.UNIT_EPSILON,
        c.get(Llama.EPSILON),
        Attention.Projections.APART,
        size,
        size,
        true);
  }

  /** Which layers keep states: two lists of the release say it, or one of transformers. */
  static IntPredicate states(Settings c) {
    List<Integer> states = c.find(STATES);
    List<Integer> full = c.find(FULL);
    if (states == null || full == null) {
      if (states != null || full != null || c.find(Llama.TYPES) == null) {
        throw c.config().missing(c.name(states == null ? STATES : FULL));
      }
      return Llama.listed(c, "linear_attention", i -> false);
    }
    List<Integer> both = Stream.concat(states.stream(), full.stream()).sorted().toList();
    List<Integer> all = IntStream.rangeClosed(1, c.get(Llama.LAYERS)).boxed().toList();
    if (!both.equals(all)) {
      throw c.wrong(STATES, "all layers that full_attn_layers does not name", states);
    }
    IntPredicate keeps = i -> states.contains(i + 1);
    IntPredicate listed = Llama.listed(c, "linear_attention", keeps);
    if (!IntStream.range(0, all.size()).allMatch(i -> listed.test(i) == keeps.test(i))) {
      throw c.wrong(STATES, "those that layer_types says", new TreeSet<>(states));
    }
    return keeps;
  }
}

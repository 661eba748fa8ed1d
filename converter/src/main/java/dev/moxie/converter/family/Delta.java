package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import java.util.List;
import java.util.Map;
import java.util.function.IntPredicate;
import java.util.stream.Stream;

/**
 * What config.json says of models most of whose layers keep a state by the gated delta rule, while
 * the others gate what attention gives (transformers {@code
 * models/qwen3_next/configuration_qwen3_next.py}): keys, and the parts that follow from them.
 */
final class Delta {
  private static final Key<Integer> TAPS =
      Key.count("linear_conv_kernel_dim", Limits.MAX_TAPS, "tokens that a convolution spans").or(4);
  private static final Key<Integer> KEY_HEADS =
      Key.count("linear_num_key_heads", Limits.MAX_HEADS, "heads of a state's keys").or(16);
  private static final Key<Integer> VALUE_HEADS =
      Key.count("linear_num_value_heads", Limits.MAX_HEADS, "states of a layer").or(32);
  private static final Key<Integer> KEY_SIZE =
      Key.count("linear_key_head_dim", Limits.MAX_WIDTH, "rows of a state").or(128);
  private static final Key<Integer> VALUE_SIZE =
      Key.count("linear_value_head_dim", Limits.MAX_WIDTH, "columns of a state").or(128);
  private static final Key<Integer> INTERVAL =
      Key.count("full_attention_interval", Experts.MAX_STEP, "of so many layers the last attends")
          .or(4);

  /** At most one, since any more would share its projection and its norms. */
  static final Key<Integer> PREDICTION =
      Key.whole(Experts.PREDICTION.name(), 0, 1, Experts.PREDICTION.meaning()).or(0);

  /** Of the sum of squares of a query or key, which the class states and no key changes. */
  static final double UNIT_EPSILON = 1e-6;

  static final Keys KEYS =
      Llama.KEYS
          .and(
              Llama.TYPES,
              Llama.BIASES,
              Llama.HEAD_SIZE.or(256),
              RotarySettings.PARTIAL.any().or(0.25))
          .and(TAPS, KEY_HEADS, VALUE_HEADS, KEY_SIZE, VALUE_SIZE, INTERVAL)
          .and(Experts.KEYS)
          .and(Experts.COUNT.spelled("num_experts", "num_local_experts"))
          .and(Qwen2Moe.SHARED_WIDTH, PREDICTION);

  /** Tensors but for the projections of states. */
  private static final Map<String, String> NAMES =
      Names.join(
          Names.LLAMA,
          Names.DENSE,
          Names.EXPERTS,
          Qwen2Moe.SHARED,
          Names.weights("delta.norm", "linear_attn.norm", "delta.output", "linear_attn.out_proj"),
          Names.inLayer(
              "delta.decay_shift.weight", "linear_attn.dt_bias",
              "delta.decay_rate.weight", "linear_attn.A_log"));

  private static final String AHEAD = "mtp.layers.{layer}";

  /** What a layer for multi-token prediction has beside a decoder layer's tensors. */
  private static final Map<String, String> AHEAD_ALONE =
      Map.of(
          "layers.{layer}.prediction.embedding_norm.weight", "mtp.pre_fc_norm_embedding.weight",
          "layers.{layer}.prediction.hidden_norm.weight", "mtp.pre_fc_norm_hidden.weight",
          "layers.{layer}.prediction.combine.weight", "mtp.fc.weight",
          "layers.{layer}.prediction.final_norm.weight", "mtp.norm.weight");

  private Delta() {}

  /** The layout with these projections. */
  static Layout released(Map<String, String> projections) {
    String convolution = "model.layers.{layer}.linear_attn.conv1d.weight";
    return Names.released(NAMES, projections)
        .and("delta.convolution.weight", convolution, Arrangement.TAPS);
  }

  /**
   * These layouts with a layer for multi-token prediction (vLLM {@code
   * model_executor/models/qwen3_5_mtp.py} has its equations), whose experts lie as in one or the
   * other of two: releases have fused experts in the decoder, and there either.
   */
  static List<Layout> predicting(Layout one, Layout other, Layout... layouts) {
    return Stream.of(layouts)
        .flatMap(
            layout ->
                Stream.of(one, other).map(like -> layout.predicting(like, AHEAD, AHEAD_ALONE)))
        .toList();
  }

  /**
   * The model.
   *
   * @param dense layers without experts, counted from 0
   */
  static Architecture model(Settings c, Attention.Projections projections, IntPredicate dense) {
    var normed = Llama.normed(c, Llama.attention(c), Attention.NormSpan.HEAD);
    var attention = Parts.with(normed, "outputGate", true);
    int interval = c.get(INTERVAL);
    IntPredicate states = Llama.listed(c, "linear_attention", i -> (i + 1) % interval != 0);
    var shared = new FeedForward.SharedExperts(c.get(Qwen2Moe.SHARED_WIDTH), true);
    var experts = Experts.of(c, Experts.softmax(c), shared);
    var model =
        Llama.model(
            c,
            i -> states.test(i) ? state(c, projections) : attention,
            i -> dense.test(i) ? Experts.dense(c) : experts);
    return Parts.with(Experts.predicting(c, model, attention, experts), "offsetNorms", true);
  }

  private static Attention.GatedDelta state(Settings c, Attention.Projections projections) {
    int heads = c.get(VALUE_HEADS);
    int keyHeads = c.atMost(KEY_HEADS, heads);
    if (heads % keyHeads != 0) {
      throw c.wrong(KEY_HEADS, "a divisor of the " + heads + " value heads", keyHeads);
    }
    return new Attention.GatedDelta(
        keyHeads,
        heads,
        c.get(KEY_SIZE),
        c.get(VALUE_SIZE),
        c.get(TAPS),
        UNIT_EPSILON,
        c.get(Llama.EPSILON),
        projections);
  }
}

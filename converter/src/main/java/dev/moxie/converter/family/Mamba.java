package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntPredicate;

/**
 * What config.json says of layers that are Mamba-2 (transformers {@code
 * models/granitemoehybrid/configuration_granitemoehybrid.py}): keys, the part that follows from
 * them, and what its tensors are called.
 */
final class Mamba {
  static final Key<Integer> HEADS =
      Key.count("mamba_n_heads", Limits.MAX_HEADS, "heads of a Mamba layer");
  static final Key<Integer> GROUPS =
      Key.count("mamba_n_groups", Limits.MAX_HEADS, "groups of those, each with a key of its own");
  static final Key<Integer> STATE =
      Key.count("mamba_d_state", Limits.MAX_WIDTH, "rows of a state of a Mamba layer");
  static final Key<Integer> TAPS =
      Key.count("mamba_d_conv", Limits.MAX_TAPS, "tokens that a convolution spans").or(4);
  static final Key<Boolean> TAPS_BIAS =
      Key.flag("mamba_conv_bias", "a bias of the convolution").or(true);
  static final Key<Boolean> BIASES =
      Key.flag("mamba_proj_bias", "biases of what a Mamba layer reads and writes by").or(false);

  static final Key<Integer> EXPAND =
      Key.count("mamba_expand", 1024, "width of a Mamba layer, in widths of the residual stream")
          .or(2);
  static final Key<Integer> HEAD_SIZE =
      Key.of(
              "mamba_d_head",
              "a whole number from 1 to %d or auto".formatted(Limits.MAX_WIDTH),
              Mamba::automatic,
              "columns of a state, its part of the width where it is auto")
          .or(0);

  /** Others hold in prompts alone: transformers does not keep to them token by token. */
  static final Key<List<Double>> STEPS =
      Key.of("time_step_limit", "two numbers", Config::range, "what steps in time are held within")
          .only(List.of(0.0, Double.POSITIVE_INFINITY));

  static final Keys KEYS =
      Keys.of(HEADS, GROUPS, STATE, TAPS, TAPS_BIAS, BIASES)
          .neutral("how many tokens are computed together", "mamba_chunk_size");

  /** The kind of a layer that keeps a state. */
  static final String STATES = "linear_attention";

  /** What kinds of layers were called before transformers 5, and are called now. */
  static final Map<String, String> BEFORE = Map.of("mamba", STATES, "attention", Llama.FULL);

  /** The same as NVIDIA spells it. */
  static final Keys NVIDIA =
      Keys.of(
              HEADS.spelled("mamba_num_heads").or(128),
              GROUPS.spelled("n_groups", "mamba_n_groups").or(8),
              STATE.spelled("ssm_state_size").or(128),
              TAPS.spelled("conv_kernel", "mamba_d_conv"),
              TAPS_BIAS.spelled("use_conv_bias", "mamba_conv_bias"),
              BIASES.spelled("use_bias"),
              Key.word("mamba_hidden_act", "what convolutions are put through", Set.of("silu"))
                  .or("silu"))
          .neutral("how many tokens are computed together", "chunk_size", "mamba_chunk_size")
          .neutral("what the class reads no more", "expand", "mamba_expand", "mamba_proj_bias")
          .neutral("likewise", "time_step_limit", "mamba_dt_limit")
          .neutral("of training", "time_step_max", "time_step_floor", "rescale_prenorm_residual")
          .neutral("precision of states and sums", "mamba_ssm_cache_dtype", "residual_in_fp32")
          .neutral("of an execution", "use_mamba_kernels", "num_logits_to_keep");

  private static final Key<Integer> STEP_RANK =
      Key.of(
              "mamba_dt_rank",
              "a whole number from 1 to %d or auto".formatted(Limits.MAX_WIDTH),
              Mamba::automatic,
              "width that steps in time are made of, a part of hidden_size where it is auto")
          .or(0);

  /** Those of the first Mamba. */
  static final Keys FIRST =
      Keys.of(STATE.or(16), TAPS, TAPS_BIAS, BIASES, EXPAND, STEP_RANK)
          .neutral("of an execution", "use_mamba_kernels", "use_mambapy", "use_associative_scan")
          .neutral("likewise", "num_logits_to_keep");

  /** Widths of the residual stream to one of what steps are made of. */
  private static final int TO_STEP_RANK = 16;

  private Mamba() {}

  /** A layer of the first Mamba. */
  static Attention.Mamba first(Settings c) {
    int hidden = c.get(Llama.HIDDEN);
    int rank = c.get(STEP_RANK);
    return new Attention.Mamba(
        Math.multiplyExact(c.get(EXPAND), hidden),
        c.get(STATE),
        rank == 0 ? Math.ceilDiv(hidden, TO_STEP_RANK) : rank,
        c.get(TAPS),
        c.get(Llama.EPSILON),
        c.get(TAPS_BIAS),
        c.get(BIASES));
  }

  /** 0 where it is auto. */
  private static int automatic(Config config, String key) {
    if (config.isText(key)) {
      config.word(key, List.of("auto"));
      return 0;
    }
    return config.count(key, Limits.MAX_WIDTH);
  }

  /** A layer so many times as wide as the residual stream. */
  static Attention.Mamba2 expanded(Settings c) {
    int width = Math.multiplyExact(c.get(EXPAND), c.get(Llama.HIDDEN));
    int heads = c.get(HEADS);
    int size = c.get(HEAD_SIZE) == 0 ? width / heads : c.get(HEAD_SIZE);
    if (Math.multiplyExact((long) heads, size) != width) {
      throw c.wrong(HEAD_SIZE, "what %d heads share %d by".formatted(heads, width), size);
    }
    return of(c, size);
  }

  /** A layer whose steps are as they come, normed over all heads. */
  static Attention.Mamba2 of(Settings c, int headSize) {
    int heads = c.get(HEADS);
    int groups = c.atMost(GROUPS, heads);
    if (heads % groups != 0) {
      throw c.wrong(GROUPS, "a divisor of the " + heads + " heads", groups);
    }
    return new Attention.Mamba2(
        heads,
        groups,
        headSize,
        c.get(STATE),
        c.get(TAPS),
        c.get(Llama.EPSILON),
        1,
        0,
        c.get(TAPS_BIAS),
        c.get(BIASES));
  }

  /** Tensors but for what convolutions multiply with, by what comes before their names. */
  static Map<String, String> names(String prefix) {
    return Names.join(
        Names.weights(
            "mamba.input", prefix + "in_proj",
            "mamba.norm", prefix + "norm",
            "mamba.output", prefix + "out_proj"),
        Names.inLayer(
            "mamba.input.bias", prefix + "in_proj.bias",
            "mamba.convolution.bias", prefix + "conv1d.bias",
            "mamba.step_shift.weight", prefix + "dt_bias",
            "mamba.decay_rate.weight", prefix + "A_log",
            "mamba.skip.weight", prefix + "D",
            "mamba.output.bias", prefix + "out_proj.bias"));
  }

  /** Which layers keep a state; all where nothing says which. */
  static IntPredicate states(Settings c) {
    return Llama.listed(c, STATES, BEFORE, i -> true);
  }
}

package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Attention.NormSpan;
import dev.moxie.format.model.Attention.ShortConvolution;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * LFM2 with experts (Liquid AI, "LFM2 Technical Report", 2025; transformers {@code
 * models/lfm2_moe/modeling_lfm2_moe.py}): most layers convolve the last few tokens, some attend.
 */
final class Lfm2Moe {
  private static final Key<Integer> TAPS =
      Key.count("conv_L_cache", Limits.MAX_TAPS, "tokens that a convolution spans").or(3);
  private static final Key<Boolean> BIASES =
      Key.flag("conv_bias", "biases of layers that convolve").or(false);
  private static final Key<Boolean> FAVOURED =
      Key.flag("use_expert_bias", "whether a bias takes part in the choice of experts").or(true);

  /** Of the sum of weights, which the class states and no key changes. */
  private static final double NORMALISATION_EPSILON = 1e-6;

  private static final String LAYER = "model.layers.{layer}.";
  private static final Layout RELEASED =
      Names.released(Names.LFM2)
          .and("convolution.taps.weight", LAYER + "conv.conv.weight", Arrangement.TAPS);

  static final Family FAMILY =
      new Family(
          "lfm2_moe",
          "Lfm2MoeForCausalLM",
          Llama.KEYS
              .and(Llama.EPSILON.spelled("norm_eps").or(1e-5), Llama.KEY_HEADS.or(8))
              .and(Llama.TIED.spelled("tie_word_embeddings", "tie_embedding").or(true))
              .and(RotarySettings.THETA.or(1e6), Llama.TYPES.always(), TAPS, BIASES, FAVOURED)
              .and(Experts.KEYS)
              .and(Experts.ACTIVATION.or("silu"), Experts.NORMALISED.or(true))
              .and(Experts.SCALE.or(1.0), Experts.DENSE_WIDTH.or(7168))
              .and(Experts.DENSE_FIRST.spelled("num_dense_layers").or(2)),
          Lfm2Moe::model,
          List.of(RELEASED, Names.fused(RELEASED, LAYER + "feed_forward.").as("transformers 5")));

  private Lfm2Moe() {}

  private static Architecture model(Settings c) {
    var attention = Llama.normed(c, Llama.attention(c), NormSpan.HEAD);
    var convolution = new ShortConvolution(c.get(Llama.HIDDEN), c.get(TAPS), c.get(BIASES));
    IntPredicate convolves = Llama.listed(c, "conv", i -> false);
    Routing routing =
        Experts.route(c, Routing.Score.SIGMOID)
            .withBias(c.get(FAVOURED) ? Routing.Bias.SELECTION : null)
            .withNormalisation(
                c.get(Experts.NORMALISED) ? new Routing.Normalisation(NORMALISATION_EPSILON) : null)
            .withScale(c.get(Experts.SCALE));
    return Experts.model(
        c, i -> (Attention) (convolves.test(i) ? convolution : attention), Experts.of(c, routing));
  }
}

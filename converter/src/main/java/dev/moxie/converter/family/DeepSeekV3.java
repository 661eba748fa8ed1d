package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * DeepSeek-V3 and what is trained in its shape: R1, V3.1, Moonlight, Kimi-K2 (DeepSeek-AI,
 * "DeepSeek-V3 Technical Report", 2024; transformers {@code
 * models/deepseek_v3/modeling_deepseek_v3.py}): latent attention; a sigmoid, a bias that steers the
 * choice, and groups by the sum of their two best experts.
 */
final class DeepSeekV3 {
  static final Key<Boolean> INTERLEAVED =
      Key.flag("rope_interleave", "whether neighbouring dimensions are turned together").or(true);

  /** Keeps a sum of scores from being zero. */
  private static final double NORMALISATION_EPSILON = 1e-20;

  /** Keys of its experts and its layers for multi-token prediction, as others have them, too. */
  static final Keys EXPERTS =
      DeepSeekV2.EXPERTS.and(
          Experts.NORMALISED.or(true),
          Experts.PREDICTION,
          Key.text("scoring_func", "score of an expert").only("sigmoid"),
          Key.text("topk_method", "how experts are chosen").only("noaux_tc"));

  static final Keys KEYS = Latent.KEYS.and(INTERLEAVED).and(EXPERTS);
  static final Layout RELEASED = Names.released(Names.LLAMA, Names.LATENT, Names.DEEPSEEK);

  static final Family FAMILY =
      new Family("deepseek_v3", "DeepseekV3ForCausalLM", KEYS, DeepSeekV3::model, List.of(RELEASED))
          .alias("kimi_k2");

  private DeepSeekV3() {}

  static Architecture model(Settings c) {
    var attention = Latent.attention(c, pairing(c));
    return Experts.model(c, attention, Experts.of(c, routing(c)));
  }

  static Rotary.Pairing pairing(Settings c) {
    return c.get(INTERLEAVED) ? Rotary.Pairing.INTERLEAVED : Rotary.Pairing.HALVES;
  }

  static Routing routing(Settings c) {
    return Experts.route(c, Routing.Score.SIGMOID)
        .withBias(Routing.Bias.SELECTION)
        .withGroups(
            Experts.groups(
                c,
                Routing.Groups.Aggregate.SUM_OF_TOP_TWO,
                Routing.Groups.MaskValue.NEGATIVE_INFINITY))
        .withNormalisation(normalisation(c))
        .withScale(c.get(Experts.SCALE));
  }

  static Routing.@Nullable Normalisation normalisation(Settings c) {
    return c.get(Experts.NORMALISED) ? new Routing.Normalisation(NORMALISATION_EPSILON) : null;
  }
}

package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The rotary embedding in both spellings: {@code rope_theta} and {@code rope_scaling} before
 * transformers 5, {@code rope_parameters} since.
 */
final class RotarySettings {
  private static final String PARTIAL = "partial_rotary_factor";
  private static final String THETA = "rope_theta";
  private static final String CURRENT = "rope_parameters";
  private static final String FORMER = "rope_scaling";
  private static final String ORIGINAL = "original_max_position_embeddings";

  private RotarySettings() {}

  /** Rotary embedding of whole heads. */
  static Rotary of(Config config, int headSize, Rotary.Pairing pairing) {
    double part = part(config, 1);
    if (part != 1) {
      throw config.unsupported(PARTIAL, "1, since the family turns whole heads", "" + part);
    }
    return stretched(config, headSize, pairing, false);
  }

  /**
   * Rotary embedding of a part of each head.
   *
   * @param otherwise the part where config.json does not state any
   */
  static Rotary partial(Config config, int headSize, double otherwise) {
    int dimensions = (int) (headSize * part(config, otherwise));
    return stretched(config, dimensions, Rotary.Pairing.HALVES, false);
  }

  /** Rotary embedding of the turned part of latent attention's heads. */
  static Rotary latent(Config config, int dimensions, Rotary.Pairing pairing) {
    return stretched(config, dimensions, pairing, true);
  }

  private static Rotary stretched(
      Config config, int dimensions, Rotary.Pairing pairing, boolean latent) {
    Rotary.@Nullable Scaling scaling =
        scaling(config).map(declared -> stretch(declared, latent)).orElse(null);
    return new Rotary(theta(config), dimensions, pairing, scaling);
  }

  private static double part(Config config, double otherwise) {
    Double part = beside(config, PARTIAL);
    return part == null ? otherwise : part;
  }

  /** The base of the angles. */
  static double theta(Config config) {
    Double theta = beside(config, THETA);
    return theta == null ? config.positive(THETA) : theta;
  }

  /** A number beside the objects that declare the embedding, or within one of them. */
  private static @Nullable Double beside(Config config, String key) {
    Double value = config.has(key) ? config.positive(key) : null;
    for (String object : List.of(CURRENT, FORMER)) {
      if (config.has(object) && config.object(object).has(key)) {
        double within = config.object(object).positive(key);
        if (value != null && value != within) {
          throw config.wrong(key, "the same as in " + object + ", " + within, value.toString());
        }
        value = within;
      }
    }
    return value;
  }

  /** The object that declares a scaling of positions, if one does. */
  private static Optional<Config> scaling(Config config) {
    Optional<Config> current = scaling(config, CURRENT);
    Optional<Config> former = scaling(config, FORMER);
    boolean both = config.has(CURRENT) && config.has(FORMER);
    if (both && (current.isPresent() || former.isPresent())) {
      throw config.wrong(FORMER, "nothing beside " + CURRENT, "a second declaration");
    }
    return current.or(() -> former);
  }

  private static Optional<Config> scaling(Config config, String key) {
    if (!config.has(key)) {
      return Optional.empty();
    }
    Config scaling = config.object(key);
    if (key.equals(FORMER) && !scaling.has("rope_type") && !scaling.has("type")) {
      throw config.wrong(key, "an object with a type", "one without");
    }
    boolean unscaled =
        type(scaling).equals("default")
            || (type(scaling).equals("linear") && scaling.positive("factor") == 1);
    if (unscaled) {
      scaling.has(THETA);
      scaling.has(PARTIAL);
      scaling.requireAllUnderstood(Set.of());
      return Optional.empty();
    }
    return Optional.of(scaling);
  }

  private static String type(Config scaling) {
    if (scaling.has("rope_type")) {
      String type = scaling.text("rope_type");
      if (scaling.has("type") && !scaling.text("type").equals(type)) {
        throw scaling.wrong("type", "the same as rope_type, " + type, scaling.text("type"));
      }
      return type;
    }
    return scaling.has("type") ? scaling.text("type") : "default";
  }

  private static Rotary.Scaling stretch(Config scaling, boolean latent) {
    scaling.has(THETA);
    scaling.has(PARTIAL);
    Rotary.Scaling stretch =
        switch (type(scaling)) {
          case "yarn" -> yarn(scaling, latent);
          case "linear" -> new Rotary.Linear(scaling.positive("factor"));
          case "llama3" ->
              new Rotary.Llama3(
                  scaling.positive("factor"),
                  scaling.positive("low_freq_factor"),
                  scaling.positive("high_freq_factor"),
                  scaling.count(ORIGINAL, Integer.MAX_VALUE));
          default ->
              throw scaling.unsupported(
                  "rope_type", "\"default\", \"linear\", \"llama3\" or \"yarn\"", type(scaling));
        };
    scaling.requireAllUnderstood(Set.of());
    return stretch;
  }

  /**
   * YaRN: m(s) = 0.1 s ln(factor) + 1 for factor above 1 multiplies cosines and sines as m(mscale)
   * / m(mscale_all_dim), or m(1) without these, and in DeepSeek's latent attention the softmax
   * scale as m(mscale_all_dim)² (transformers {@code modeling_rope_utils.py} and {@code
   * modular_deepseek_v2.py}).
   */
  private static Rotary.Yarn yarn(Config scaling, boolean latent) {
    double factor = scaling.positive("factor");
    double mscale = scaling.has("mscale") ? scaling.positive("mscale") : 1;
    double allDimensions =
        scaling.has("mscale_all_dim") ? scaling.notNegative("mscale_all_dim") : 0;
    if ((allDimensions == 0 && mscale != 1) || (allDimensions != 0 && !scaling.has("mscale"))) {
      throw scaling.unsupported(
          "mscale",
          "both mscale and mscale_all_dim or neither, on which implementations agree",
          scaling.has("mscale") ? mscale + " alone" : "mscale_all_dim alone");
    }
    double softmax = magnitude(factor, allDimensions);
    double magnitude =
        scaling.has("attention_factor")
            ? scaling.positive("attention_factor")
            : magnitude(factor, mscale) / softmax;
    return new Rotary.Yarn(
        factor,
        scaling.count(ORIGINAL, Integer.MAX_VALUE),
        scaling.has("beta_fast") ? scaling.positive("beta_fast") : 32,
        scaling.has("beta_slow") ? scaling.positive("beta_slow") : 1,
        magnitude,
        latent ? softmax * softmax : 1,
        !scaling.flag("truncate", true));
  }

  private static double magnitude(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
  }
}

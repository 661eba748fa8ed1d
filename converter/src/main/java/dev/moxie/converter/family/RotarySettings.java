package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Rotary;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The rotary embedding in both spellings: {@code rope_theta} and {@code rope_scaling} before
 * transformers 5, {@code rope_parameters} since.
 */
final class RotarySettings {
  private RotarySettings() {}

  /** Rotary embedding without any scaling of positions, which is refused. */
  static Rotary unscaled(Config config, int dimensions, Rotary.Pairing pairing) {
    Optional<Config> scaling = scaling(config);
    if (scaling.isPresent()) {
      throw scaling.get().unsupported("rope_type", "no scaling of positions", type(scaling.get()));
    }
    return new Rotary(theta(config), dimensions, pairing, null);
  }

  /** Rotary embedding of latent attention, stretched by YaRN where config.json says so. */
  static Rotary latent(Config config, int dimensions, Rotary.Pairing pairing) {
    Rotary.@Nullable Yarn yarn = scaling(config).map(RotarySettings::yarn).orElse(null);
    return new Rotary(theta(config), dimensions, pairing, yarn);
  }

  private static double theta(Config config) {
    if (!config.has("rope_parameters")) {
      return config.positive("rope_theta");
    }
    Config parameters = config.object("rope_parameters");
    double theta = parameters.positive("rope_theta");
    if (config.has("rope_theta") && config.positive("rope_theta") != theta) {
      throw config.wrong(
          "rope_theta",
          "the same as in rope_parameters, " + theta,
          String.valueOf(config.positive("rope_theta")));
    }
    return theta;
  }

  /** The object that declares a scaling of positions, if one does. */
  private static Optional<Config> scaling(Config config) {
    Optional<Config> current = scaling(config, "rope_parameters");
    Optional<Config> former = scaling(config, "rope_scaling");
    boolean both = config.has("rope_parameters") && config.has("rope_scaling");
    if (both && (current.isPresent() || former.isPresent())) {
      throw config.wrong("rope_scaling", "nothing beside rope_parameters", "a second declaration");
    }
    return current.or(() -> former);
  }

  private static Optional<Config> scaling(Config config, String key) {
    if (!config.has(key)) {
      return Optional.empty();
    }
    Config scaling = config.object(key);
    if (key.equals("rope_scaling") && !scaling.has("rope_type") && !scaling.has("type")) {
      throw config.wrong(key, "an object with a type", "one without");
    }
    boolean unscaled =
        type(scaling).equals("default")
            || (type(scaling).equals("linear") && scaling.positive("factor") == 1);
    if (unscaled) {
      scaling.has("rope_theta");
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

  /**
   * YaRN as DeepSeek uses it: m(s) = 0.1 s ln(factor) + 1 for factor above 1 multiplies cosines and
   * sines as m(mscale) / m(mscale_all_dim), and the softmax scale as m(mscale_all_dim)²
   * (transformers {@code modeling_rope_utils.py} and {@code modular_deepseek_v2.py}).
   */
  private static Rotary.Yarn yarn(Config scaling) {
    if (!type(scaling).equals("yarn")) {
      throw scaling.unsupported("rope_type", "\"yarn\" or \"default\"", type(scaling));
    }
    scaling.has("rope_theta");
    if (!scaling.flag("truncate", true)) {
      throw scaling.unsupported("truncate", "true", "false");
    }
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
    var yarn =
        new Rotary.Yarn(
            factor,
            scaling.count("original_max_position_embeddings", Integer.MAX_VALUE),
            scaling.has("beta_fast") ? scaling.positive("beta_fast") : 32,
            scaling.has("beta_slow") ? scaling.positive("beta_slow") : 1,
            magnitude,
            softmax * softmax);
    scaling.requireAllUnderstood(Set.of());
    return yarn;
  }

  private static double magnitude(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
  }
}

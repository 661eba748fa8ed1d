package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import java.util.Set;

/**
 * The rotary base in both spellings: {@code rope_theta} and {@code rope_scaling} before
 * transformers 5, {@code rope_parameters} since.
 */
final class RotarySettings {
  private RotarySettings() {}

  /** The base theta; any scaling of positions is refused. */
  static double theta(Config config) {
    if (config.has("rope_scaling")) {
      throw config.unsupported("rope_scaling", "no scaling of positions", "some");
    }
    if (!config.has("rope_parameters")) {
      return config.positive("rope_theta");
    }
    Config parameters = config.object("rope_parameters");
    String type = parameters.has("rope_type") ? parameters.text("rope_type") : "default";
    if (!type.equals("default")) {
      throw parameters.unsupported("rope_type", "\"default\"", type);
    }
    double theta = parameters.positive("rope_theta");
    parameters.requireAllUnderstood(Set.of());
    if (config.has("rope_theta") && config.positive("rope_theta") != theta) {
      throw config.wrong(
          "rope_theta",
          "the same as in rope_parameters, " + theta,
          String.valueOf(config.positive("rope_theta")));
    }
    return theta;
  }
}

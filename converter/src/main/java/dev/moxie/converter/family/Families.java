package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import java.util.List;
import java.util.Optional;

/** The families that this build converts. A checkpoint's is declared by its config.json. */
public final class Families {
  public static final List<Family> ALL =
      List.of(
          Mixtral.FAMILY,
          DeepSeekV2.FAMILY,
          DeepSeekV3.FAMILY,
          Qwen2Moe.FAMILY,
          Qwen3Moe.FAMILY,
          Olmoe.FAMILY,
          GptOss.FAMILY,
          Glm.GLM4_MOE,
          MiniMax.M2,
          Granite.FAMILY,
          Dbrx.FAMILY,
          Llama4.TEXT,
          Ernie.FAMILY);

  private Families() {}

  /** The family of that name, if this build knows it. */
  public static Optional<Family> named(String name) {
    return ALL.stream().filter(family -> family.name().equals(name)).findFirst();
  }

  /**
   * The family that {@code model_type} names.
   *
   * @throws dev.moxie.format.error.InvalidInputException if there is none
   */
  public static Family of(Config config) {
    String type = config.text("model_type");
    return ALL.stream()
        .filter(family -> family.modelTypes().contains(type))
        .findFirst()
        .orElseThrow(
            () ->
                config.unsupported(
                    "model_type",
                    "one of "
                        + ALL.stream()
                            .flatMap(family -> family.modelTypes().stream())
                            .sorted()
                            .toList(),
                    "\"" + type + "\""));
  }
}

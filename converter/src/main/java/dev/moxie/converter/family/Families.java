package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/** The families that this build converts. A checkpoint's is declared by its config.json. */
public final class Families {
  public static final List<Family> ALL =
      List.of(
          Mixtral.FAMILY,
          MixtralOriginal.FAMILY,
          DeepSeekV2.FAMILY,
          DeepSeekV3.FAMILY,
          DeepSeekV32.FAMILY,
          DeepSeekV4.FAMILY,
          Kimi.K25,
          Qwen2Moe.FAMILY,
          Qwen3Moe.FAMILY,
          Olmoe.FAMILY,
          FlexOlmo.FAMILY,
          GptOss.FAMILY,
          Glm.GLM4_MOE,
          Glm4Lite.FAMILY,
          Mistral4.FAMILY,
          GlmDsa.FAMILY,
          Dots1.FAMILY,
          SolarOpen.FAMILY,
          ExaoneMoe.FAMILY,
          Mellum.FAMILY,
          MiniMax.M2,
          MiniMaxM3.FAMILY,
          Hunyuan.V1,
          HunyuanV3.FAMILY,
          Granite.FAMILY,
          GraniteShared.FAMILY,
          GraniteHybrid.FAMILY,
          NemotronH.FAMILY,
          Jamba.FAMILY,
          MiniMaxText.FAMILY,
          Dbrx.FAMILY,
          Phimoe.FAMILY,
          Llama4.TEXT,
          Ernie.FAMILY,
          Lfm2Moe.FAMILY,
          Qwen35Moe.FAMILY,
          Qwen3Next.FAMILY,
          KimiLinear.FAMILY,
          Qwen3VlMoe.FAMILY,
          Gemma4.FAMILY,
          Afmoe.FAMILY,
          Cohere2Moe.FAMILY,
          Laguna.FAMILY,
          MiMoV2.FAMILY,
          LongcatFlash.FAMILY,
          JetMoe.FAMILY,
          SwitchTransformers.FAMILY,
          NllbMoe.FAMILY,
          Grok1.FAMILY,
          GShard.FAMILY,
          ZCode.FAMILY,
          Glam.FAMILY,
          M6T.FAMILY,
          PanguSigma.FAMILY,
          DeepSpeedMoe.FAMILY,
          Tutel.FAMILY,
          HierarchicalMoe.FAMILY,
          VMoe.FAMILY,
          Mmoe.FAMILY);

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
    return ofType(type).orElseThrow(() -> unknown(config, type));
  }

  private static Optional<Family> ofType(String modelType) {
    return ALL.stream().filter(family -> family.modelTypes().contains(modelType)).findFirst();
  }

  private static UnsupportedException unknown(Config config, String type) {
    return new UnsupportedException(
        config.where() + ", key \"model_type\"",
        "one of " + ALL.stream().flatMap(f -> f.modelTypes().stream()).sorted().toList(),
        "\"" + type + "\"",
        "this build does not implement it; " + hint(config));
  }

  private static String hint(Config config) {
    try {
      return nearest(config);
    } catch (InvalidInputException e) {
      // What else is wrong with the file does not matter to who has no family for it.
      return "guessing could change the numbers";
    }
  }

  private static String nearest(Config config) {
    String within = "text_config.model_type";
    if (config.has(within) && ofType(config.text(within)).isPresent()) {
      return "its text_config is a %s, which can be converted once it is saved by itself"
          .formatted(config.text(within));
    }
    return ALL.stream()
        .map(family -> Distance.of(family, config))
        .min(
            Comparator.comparingInt(Distance::keys)
                .thenComparing(Distance::anotherClass)
                .thenComparing(Comparator.comparingLong(Distance::known).reversed()))
        .orElseThrow()
        .toString();
  }

  /**
   * In which keys a config.json differs from a family's.
   *
   * @param more those that the family does not understand
   * @param fewer those that it needs and that are not there
   * @param anotherClass whether it does not name the family's class
   * @param known how many say something to it
   */
  private record Distance(
      String family, List<String> more, List<String> fewer, boolean anotherClass, long known) {
    private static final int SHOWN = 5;
    private static final String CLASSES = "architectures";

    static Distance of(Family family, Config config) {
      Config own = config.unread();
      own.understand(Family.COMMON);
      own.understand(RotarySettings.WITHIN);
      own.understand(family.keys().names().toList());
      return new Distance(
          family.name(),
          own.notUnderstood(family.keys().harmless()),
          family.keys().read().values().stream()
              .filter(key -> key.required() && key.names().stream().noneMatch(own::has))
              .map(Key::name)
              .toList(),
          !config.has(CLASSES)
              || Collections.disjoint(config.texts(CLASSES), family.modelClasses()),
          family.keys().read().values().stream()
              .filter(key -> key.names().stream().anyMatch(own::has))
              .count());
    }

    int keys() {
      return more.size() + fewer.size();
    }

    @Override
    public String toString() {
      String unknown = more.isEmpty() ? "" : ", which does not know " + some(more);
      String missing = fewer.isEmpty() ? "" : (more.isEmpty() ? ", which" : " and") + " needs ";
      return "the nearest that it does is "
          + family
          + unknown
          + missing
          + some(fewer)
          + (keys() == 0 ? ", which knows the same keys; its forward pass may yet differ" : "");
    }

    private static String some(List<String> keys) {
      String more = keys.size() > SHOWN ? " and %d more".formatted(keys.size() - SHOWN) : "";
      return keys.stream().limit(SHOWN).collect(Collectors.joining(", ")) + more;
    }
  }
}

package dev.moxie.converter.adapter;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Limits;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * An adapter_config.json: which modules and parameters have an adapter, of which rank and scale. A
 * key that changes what is added is read here, or only its value without effect is accepted (peft
 * 0.21, {@code tuners/lora/config.py} and {@code tuners/lora/model.py}).
 */
final class AdapterConfig {
  /** What peft knows without a value. */
  private static final int RANK = 8;

  /** Variants of LoRA, what is trained besides, and other ways to change a model. */
  private static final List<String> ONLY_OFF =
      List.of(
          "alora_invocation_tokens",
          "arrow_config",
          "ensure_weight_tying",
          "fan_in_fan_out",
          "kasa_config",
          "layer_replication",
          "lora_bias",
          "megatron_config",
          "modules_to_save",
          "monteclora_config",
          "trainable_token_indices",
          "use_bdlora",
          "use_dora",
          "use_qalora",
          "velora_config");

  /** About training, loading and starting values. */
  private static final List<String> WITHOUT_EFFECT =
      List.of(
          "auto_mapping",
          "base_model_name_or_path",
          "corda_config",
          "eva_config",
          "inference_mode",
          "loftq_config",
          "lora_dropout",
          "lora_ga_config",
          "megatron_core",
          "qalora_group_size",
          "revision",
          "runtime_config",
          "task_type");

  /** Starting values for which the base model stays as it is. */
  private static final List<String> STARTS = List.of("eva", "gaussian", "orthogonal");

  private final Config config;
  private final int rank;
  private final double alpha;
  private final boolean stable;
  private final Map<Names, Double> ranks;
  private final Map<Names, Double> alphas;
  private final Targets targets;
  private final @Nullable String version;

  private AdapterConfig(Config config) {
    this.config = config;
    if (!config.text("peft_type").equals("LORA")) {
      throw unsupported("peft_type", "\"LORA\"", config.text("peft_type"));
    }
    for (String key : ONLY_OFF) {
      if (!config.isOff(key)) {
        throw unsupported(key, "no value, or false", "one");
      }
    }
    if (config.has("bias")) {
      require("bias", config.text("bias").equals("none"), "\"none\"", config.text("bias"));
    }
    if (config.isText("init_lora_weights")) {
      String start = config.text("init_lora_weights");
      require(
          "init_lora_weights", STARTS.contains(start), "true, false or one of " + STARTS, start);
    } else if (config.has("init_lora_weights")) {
      config.flag("init_lora_weights");
    }
    this.rank = config.has("r") ? config.count("r", Limits.MAX_WIDTH) : RANK;
    this.alpha = config.has("lora_alpha") ? config.positive("lora_alpha") : RANK;
    this.stable = config.has("use_rslora") && config.flag("use_rslora");
    this.ranks = patterns("rank_pattern");
    this.alphas = patterns("alpha_pattern");
    this.targets = Targets.of(config);
    this.version = config.has("peft_version") ? config.text("peft_version") : null;
    config.understand(WITHOUT_EFFECT);
    List<String> unknown = config.notUnderstood(Map.of());
    if (!unknown.isEmpty()) {
      throw new UnsupportedException(
          config.where(),
          "only keys that this build understands",
          "others too: " + String.join(", ", unknown),
          "merge the adapter with the peft that wrote it (merge_and_unload), or take away those"
              + " that say nothing");
    }
  }

  static AdapterConfig read(Path file) {
    return new AdapterConfig(Config.read(file, Set.of()));
  }

  /** The file, for messages. */
  String where() {
    return config.where();
  }

  Targets targets() {
    return targets;
  }

  /** The rank of a module's, or a parameter's, factors. */
  int rank(String name) {
    return find(ranks, name, rank).intValue();
  }

  /** What the product of its factors is multiplied by. */
  double scale(String name) {
    double own = find(alphas, name, alpha);
    return stable ? own / Math.sqrt(rank(name)) : own / rank(name);
  }

  /** Whether the peft that saved it is one from 0.19 on; null if it does not say. */
  @Nullable Boolean isFrom019() {
    if (version == null || !Pattern.matches("\\d{1,4}\\.\\d{1,4}(\\D.*)?", version)) {
      return null;
    }
    String[] numbers = version.split("\\D+", 3);
    return Integer.parseInt(numbers[0]) > 0 || Integer.parseInt(numbers[1]) >= 19;
  }

  /** The value of the first pattern that a name ends with. */
  private static Double find(Map<Names, Double> patterns, String name, double otherwise) {
    return patterns.entrySet().stream()
        .filter(entry -> entry.getKey().matches(name))
        .map(Map.Entry::getValue)
        .findFirst()
        .orElse(otherwise);
  }

  private Map<Names, Double> patterns(String key) {
    Map<Names, Double> patterns = new LinkedHashMap<>();
    config
        .positivesByName(key)
        .forEach(
            (pattern, number) -> {
              if (key.equals("rank_pattern")
                  && (number != Math.rint(number) || number > Limits.MAX_WIDTH)) {
                throw config.wrong(key, "names with whole numbers", pattern + ": " + number);
              }
              patterns.put(Names.endingIn(config, key, pattern), number);
            });
    return patterns;
  }

  private void require(String key, boolean holds, String expected, String found) {
    if (!holds) {
      throw unsupported(key, expected, found);
    }
  }

  private UnsupportedException unsupported(String key, String expected, String found) {
    return new UnsupportedException(
        config.where() + ", key \"" + key + "\"",
        expected,
        found,
        "this build does not merge such an adapter; merge it with peft (merge_and_unload, then"
            + " save_pretrained) and convert the result");
  }
}

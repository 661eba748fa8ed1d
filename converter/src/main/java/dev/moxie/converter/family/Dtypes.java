package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.safetensors.Dtype;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * The declared dtype of the weights: {@code torch_dtype} before transformers 5, then {@code dtype}.
 */
final class Dtypes {
  private static final Map<String, Dtype> KNOWN =
      new TreeMap<>(Map.of("bfloat16", Dtype.BF16, "float16", Dtype.F16, "float32", Dtype.F32));

  private Dtypes() {}

  /**
   * The declared dtype, or bf16 where there is none; refuses one that is unknown, or stated twice
   * with different values.
   */
  static Dtype of(Config config) {
    Optional<String> before = declared(config, "torch_dtype");
    Optional<String> now = declared(config, "dtype");
    if (before.isPresent() && now.isPresent() && !before.equals(now)) {
      throw config.wrong("dtype", "the same as torch_dtype, " + before.get(), now.get());
    }
    return now.or(() -> before).map(KNOWN::get).orElse(Dtype.BF16);
  }

  /** Of a config.json and an object in it, the one that declares a dtype. */
  static Config stating(Config config, String object) {
    return config.has("dtype") || config.has("torch_dtype") ? config : config.object(object);
  }

  private static Optional<String> declared(Config config, String key) {
    if (!config.has(key)) {
      return Optional.empty();
    }
    String value = config.text(key);
    if (!KNOWN.containsKey(value)) {
      throw config.unsupported(key, "one of " + KNOWN.keySet(), value);
    }
    return Optional.of(value);
  }
}

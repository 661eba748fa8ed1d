package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import java.util.Optional;
import java.util.Set;

/**
 * The declared dtype of the weights: {@code torch_dtype} before transformers 5, then {@code dtype}.
 */
final class Dtypes {
  private static final Set<String> KNOWN = Set.of("bfloat16", "float16", "float32");

  private Dtypes() {}

  /** Refuses a dtype that is unknown, or stated twice with different values. */
  static void check(Config config) {
    Optional<String> before = declared(config, "torch_dtype");
    Optional<String> now = declared(config, "dtype");
    if (before.isPresent() && now.isPresent() && !before.equals(now)) {
      throw config.wrong("dtype", "the same as torch_dtype, " + before.get(), now.get());
    }
  }

  private static Optional<String> declared(Config config, String key) {
    if (!config.has(key)) {
      return Optional.empty();
    }
    String value = config.text(key);
    if (!KNOWN.contains(value)) {
      throw config.unsupported(key, "one of " + KNOWN.stream().sorted().toList(), value);
    }
    return Optional.of(value);
  }
}

package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Attention;
import java.util.List;

/** A gate of what heads read that softplus opens (transformers {@code models/laguna}). */
final class HeadGate {
  private static final String PER_HEAD_WORD = "per-head";

  static final Key<Boolean> PER_HEAD =
      Key.of("gating", "true, per-head or per-element", HeadGate::perHead, "what a gate is of")
          .or(true);

  private HeadGate() {}

  private static Boolean perHead(Config config, String key) {
    if (config.isText(key)) {
      return config.word(key, List.of(PER_HEAD_WORD, "per-element")).equals(PER_HEAD_WORD);
    }
    return config.flag(key);
  }

  static Attention.Gate read(Settings c) {
    return new Attention.Gate(Attention.Opening.SOFTPLUS, c.get(PER_HEAD));
  }
}

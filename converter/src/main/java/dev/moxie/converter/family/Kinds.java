package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Layers that are one half of what others are (transformers {@code
 * models/nemotron_h/configuration_nemotron_h.py}): a list says which, or a string of letters.
 */
final class Kinds {
  private static final String NETWORK = "mlp";
  private static final String EXPERTS = "moe";
  private static final Map<String, String> LETTERS =
      Map.of("M", Mamba.STATES, "*", Llama.FULL, "-", NETWORK, "E", EXPERTS);
  private static final Key<String> PATTERN =
      Key.text("hybrid_override_pattern", "the kind of each layer, a letter of M, *, - and E")
          .orNone();

  static final Keys KEYS =
      Keys.of(
          PATTERN, Llama.TYPES.spelled("layers_block_type", "layer_types"), Llama.LAYERS.orNone());

  private Kinds() {}

  /** A model of layers of four kinds. */
  static Architecture model(
      Settings c, Attention states, Attention attention, FeedForward dense, FeedForward experts) {
    List<String> kinds = kinds(c);
    var without = new Attention.None();
    var alone = new FeedForward.None();
    return Llama.model(
        c,
        kinds.size(),
        i ->
            switch (kinds.get(i)) {
              case Mamba.STATES -> states;
              case Llama.FULL -> attention;
              default -> without;
            },
        i ->
            switch (kinds.get(i)) {
              case NETWORK -> dense;
              case EXPERTS -> experts;
              default -> alone;
            });
  }

  private static List<String> kinds(Settings c) {
    @Nullable List<String> types = c.find(Llama.TYPES);
    String pattern = types == null ? c.get(PATTERN) : c.find(PATTERN);
    List<String> spelled =
        pattern == null
            ? List.of()
            : Arrays.stream(pattern.split("")).map(l -> LETTERS.getOrDefault(l, l)).toList();
    List<String> kinds =
        types == null
            ? spelled
            : types.stream().map(type -> Mamba.BEFORE.getOrDefault(type, type)).toList();
    if (pattern != null && !kinds.equals(spelled)) {
      throw c.wrong(PATTERN, "letters of " + kinds, pattern);
    }
    if (!LETTERS.values().containsAll(kinds)) {
      Key<?> key = types == null ? PATTERN : Llama.TYPES;
      throw c.unsupported(key, "kinds of " + LETTERS.values().stream().sorted().toList(), kinds);
    }
    Integer stated = c.find(Llama.LAYERS);
    if (stated != null && stated != kinds.size()) {
      throw c.wrong(Llama.LAYERS, "as many as kinds of layers, " + kinds.size(), stated);
    }
    return kinds;
  }
}

package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Rotary;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The rotary embedding in both spellings: {@code rope_theta} and {@code rope_scaling} before
 * transformers 5, {@code rope_parameters} since.
 */
final class RotarySettings {
  /** Base of the angles. */
  static final Key<Double> THETA =
      Key.positive("rope_theta", "base of the rotary angles")
          .spelled("rope_theta", "rope_parameters.rope_theta", "rope_scaling.rope_theta");

  /** The turned part of a head. */
  static final Key<Double> PARTIAL =
      Key.positive("partial_rotary_factor", "part of each head that positions turn")
          .spelled(
              "partial_rotary_factor",
              "rope_parameters.partial_rotary_factor",
              "rope_scaling.partial_rotary_factor")
          .only(1.0);

  /** Hunyuan's base that a stretch of type dynamic makes larger once and for all. */
  static final Key<Double> ALPHA =
      Key.positive("rope_scaling.alpha", "power d / (d - 2) of it multiplies the base")
          .spelled("rope_scaling.alpha", "rope_parameters.alpha")
          .orNone();

  /** What LongRoPE divides the frequency of each pair by, up to the original length. */
  static final Key<List<Double>> SHORT =
      Key.positives("short_factor", "what longrope divides the frequency of each pair by")
          .spelled("rope_scaling.short_factor", "rope_parameters.short_factor")
          .orNone();

  /** PhiMoE's factor of cosines and sines, up to that length. */
  static final Key<Double> SHORT_MAGNITUDE =
      Key.positive("short_mscale", "what longrope multiplies cosines and sines by")
          .spelled("rope_scaling.short_mscale", "rope_parameters.short_mscale")
          .orNone();

  private static final String CURRENT = "rope_parameters";
  private static final String LONG_ROPE = "longrope";
  private static final String FORMER = "rope_scaling";
  private static final String ORIGINAL = "original_max_position_embeddings";

  /** How positions are stretched. */
  static final Key<Config> SCALING =
      Key.object(CURRENT, "how angles are stretched to longer sequences")
          .spelled(FORMER, CURRENT)
          .orNone();

  static final Keys KEYS = Keys.of(THETA, PARTIAL, SCALING);

  /** What those objects may hold. */
  static final List<String> WITHIN =
      Stream.of(CURRENT, FORMER, CURRENT + "." + Llama.FULL, CURRENT + "." + Llama.WINDOWED)
          .flatMap(
              object ->
                  Stream.of(
                          "rope_type",
                          "type",
                          "factor",
                          "attention_factor",
                          "beta_fast",
                          "beta_slow",
                          "high_freq_factor",
                          "low_freq_factor",
                          "mscale",
                          "mscale_all_dim",
                          ORIGINAL,
                          "truncate")
                      .map(key -> object + "." + key))
          .toList();

  /** Angles of layers of a kind, which have an object of their own. */
  record OfKind(String layers, Key<Double> theta, Key<Double> part, Key<Config> scaling) {
    private static OfKind of(String kind, String layers) {
      String object = CURRENT + "." + kind;
      return new OfKind(
          layers,
          Key.positive(object + ".rope_theta", "base of the rotary angles in " + layers).orNone(),
          Key.positive(object + ".partial_rotary_factor", "part of each head turned in " + layers)
              .or(1.0),
          Key.object(object, "how angles are stretched in " + layers).orNone());
    }

    /** The part of each head, which may be said of all kinds together. */
    private double turned(Settings c) {
      Double own = c.find(part);
      Double all = c.find(PARTIAL);
      if (own != null && all != null && !own.equals(all)) {
        throw c.wrong(PARTIAL, "the same as %s, %s".formatted(part.name(), own), all);
      }
      return own != null ? own : c.get(PARTIAL);
    }

    private Rotary rotary(Settings c, Rotary.Pairing pairing) {
      int dimensions = (int) (Llama.headSize(c) * turned(c));
      Rotary.@Nullable Scaling stretch = null;
      if (!c.stated(scaling).isEmpty()) {
        stretch =
            declared(c, scaling.name())
                .map(found -> stretch(c, dimensions, found, false))
                .orElse(null);
        requireWholeBounds(c.config().object(scaling.name()), stretch);
      }
      return new Rotary(c.get(theta), dimensions, pairing, stretch);
    }
  }

  static final OfKind FULL = OfKind.of(Llama.FULL, "layers that see everything");
  static final OfKind WINDOWED = OfKind.of(Llama.WINDOWED, "layers with a window");

  private RotarySettings() {}

  /** A table that has angles for each kind of layers in the place of those for all. */
  static Keys byKind(Keys keys) {
    return keys.without(THETA, PARTIAL, SCALING)
        .and(FULL.theta(), FULL.part(), FULL.scaling())
        .and(WINDOWED.theta(), WINDOWED.part(), WINDOWED.scaling());
  }

  /**
   * The rotary embedding of each layer, counted from 0, where each kind has angles of its own.
   *
   * @param windows which layers have a window
   */
  static IntFunction<Rotary> byKind(Settings c, IntPredicate windows, Rotary.Pairing pairing) {
    // Of kinds that no layer is of, too: what stands in their objects is understood.
    Map<OfKind, Rotary> all = new HashMap<>();
    Stream.of(FULL, WINDOWED)
        .filter(kind -> !c.stated(kind.scaling()).isEmpty() || !c.stated(kind.theta()).isEmpty())
        .forEach(kind -> all.put(kind, kind.rotary(c, pairing)));
    return layer -> {
      OfKind kind = windows.test(layer) ? WINDOWED : FULL;
      Rotary rotary = all.get(kind);
      if (rotary == null) {
        throw c.config().missing(kind.scaling().name());
      }
      return rotary;
    };
  }

  /** How many dimensions of a head positions turn. */
  static int turned(Settings c, int headSize) {
    return (int) (headSize * c.get(PARTIAL));
  }

  /** Rotary embedding of heads, or of a part of each. */
  static Rotary of(Settings c, int dimensions, Rotary.Pairing pairing) {
    return stretched(c, dimensions, pairing, false);
  }

  /** Rotary embedding of the turned part of latent attention's heads. */
  static Rotary latent(Settings c, int dimensions, Rotary.Pairing pairing) {
    return stretched(c, dimensions, pairing, true);
  }

  private static Rotary stretched(
      Settings c, int dimensions, Rotary.Pairing pairing, boolean latent) {
    Rotary.@Nullable Scaling scaling =
        scaling(c).map(found -> stretch(c, dimensions, found, latent)).orElse(null);
    return new Rotary(theta(c, dimensions), dimensions, pairing, scaling);
  }

  private static double theta(Settings c, int dimensions) {
    Double alpha = c.find(ALPHA);
    return alpha != null && c.stated(SCALING).stream().anyMatch(key -> isDynamic(c, key))
        ? c.get(THETA) * Math.pow(alpha, dimensions / (dimensions - 2.0))
        : c.get(THETA);
  }

  private static boolean isDynamic(Settings c, String key) {
    return type(c.config().object(key)).equals("dynamic");
  }

  /** The object that declares a scaling of positions, if one does. */
  private static Optional<Config> scaling(Settings c) {
    List<String> stated = c.stated(SCALING);
    List<Config> scaled =
        stated.stream().map(key -> declared(c, key)).flatMap(Optional::stream).toList();
    if (stated.size() > 1 && !scaled.isEmpty()) {
      throw c.config().wrong(FORMER, "nothing beside " + CURRENT, "a second declaration");
    }
    return scaled.stream().findFirst();
  }

  private static Optional<Config> declared(Settings c, String key) {
    Config scaling = c.config().object(key);
    if (key.endsWith(FORMER) && !scaling.has("rope_type") && !scaling.has("type")) {
      throw c.config().wrong(key, "an object with a type", "one without");
    }
    boolean unscaled =
        type(scaling).equals("default")
            || (isDynamic(c, key) && c.find(ALPHA) != null)
            || (type(scaling).equals("linear") && scaling.positive("factor") == 1);
    return unscaled ? Optional.empty() : Optional.of(scaling);
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

  private static Rotary.Scaling stretch(
      Settings c, int dimensions, Config scaling, boolean latent) {
    if (type(scaling).equals(LONG_ROPE) && c.find(SHORT) != null) {
      int pairs = dimensions / 2;
      if (c.get(SHORT).size() != pairs) {
        throw c.wrong(SHORT, "one number for each of %d pairs".formatted(pairs), c.get(SHORT));
      }
      return new Rotary.LongRope(c.get(SHORT), c.get(SHORT_MAGNITUDE));
    }
    return switch (type(scaling)) {
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
  }

  /**
   * YaRN: m(s) = 0.1 s ln(factor) + 1 for factor above 1 multiplies cosines and sines as m(mscale)
   * / m(mscale_all_dim), or m(1) without these, and in DeepSeek's latent attention the softmax
   * scale as m(mscale_all_dim)² (transformers {@code modeling_rope_utils.py} and {@code
   * modular_deepseek_v2.py}).
   */
  static Rotary.Yarn yarn(Config scaling, boolean latent) {
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
        scaling.has("truncate") && !scaling.flag("truncate"));
  }

  /**
   * Refuses YaRN between exact bounds where each kind of layers has angles of its own: transformers
   * 5.18 looks for the key one object further out there.
   */
  static void requireWholeBounds(Config scaling, Rotary.@Nullable Scaling stretch) {
    if (stretch instanceof Rotary.Yarn yarn && yarn.exactBounds()) {
      throw scaling.unsupported("truncate", "true, on which implementations agree", "false");
    }
  }

  private static double magnitude(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
  }
}

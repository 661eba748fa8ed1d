package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.model.ParameterCount;
import dev.moxie.format.safetensors.Dtype;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A set of checkpoints with one naming and one forward pass.
 *
 * @param name what a package calls it
 * @param modelTypes the values of {@code model_type} in config.json that mean it
 * @param modelClass the class that config.json names, where it names any
 * @param architecture reads config.json; a contradiction is an IllegalArgumentException
 * @param names canonical tensor name to the checkpoint's, {@code {layer}} and {@code {expert}}
 *     standing for numbers
 * @param predictionKey the key of config.json that counts layers for multi-token prediction; null
 *     where there is none
 */
public record Family(
    String name,
    Set<String> modelTypes,
    String modelClass,
    Function<Config, Architecture> architecture,
    Map<String, String> names,
    @Nullable String predictionKey) {
  /** What follows a weight's name in the name of its block scales. */
  public static final String SCALES = Fp8Blocks.SOURCE_SCALES;

  private static final String LAYER = "{layer}";
  private static final int MOST_DIGITS = 8;

  /**
   * What a config.json says of the model and of how its weights are stored.
   *
   * @param architecture with the layers for multi-token prediction that it declares
   * @param dtype of weights that are not block-scaled; a checkpoint may yet deviate from it
   * @param blockScaled whether weights may be e4m3 values with block scales
   */
  public record Description(Architecture architecture, Dtype dtype, boolean blockScaled) {}

  /** What a config.json describes. */
  public Description describe(Config config) {
    if (config.has("architectures") && !config.texts("architectures").contains(modelClass)) {
      throw config.unsupported(
          "architectures", modelClass, config.texts("architectures").toString());
    }
    Dtype dtype = Dtypes.of(config);
    boolean blockScaled = Quantisation.isBlockScaled(config);
    Architecture described = config.derive(() -> architecture.apply(config));
    // Sizes that overflow a count of parameters are no model's.
    config.derive(() -> ParameterCount.of(described));
    config.requireAllUnderstood(HarmlessKeys.ALL);
    return new Description(described, dtype, blockScaled);
  }

  /** The layer that a tensor of a checkpoint belongs to, if it is named like one of a layer. */
  public OptionalInt layerOf(String source) {
    String name = Objects.requireNonNull(names.get("layers.{layer}.attention_norm.weight"));
    String prefix = name.substring(0, name.indexOf(LAYER));
    int end = source.indexOf('.', prefix.length());
    if (!source.startsWith(prefix) || end < 0) {
      return OptionalInt.empty();
    }
    String layer = source.substring(prefix.length(), end);
    return isNumber(layer) ? OptionalInt.of(Integer.parseInt(layer)) : OptionalInt.empty();
  }

  /** Whether the family has tensors of such a name, whatever the numbers in it. */
  public boolean hasName(String source) {
    return names.containsValue(pattern(source));
  }

  /** Whether only layers for multi-token prediction have tensors of such a name. */
  public boolean isOfPrediction(String source) {
    String pattern = pattern(source);
    return names.entrySet().stream()
        .anyMatch(
            name -> name.getKey().contains(".prediction.") && name.getValue().equals(pattern));
  }

  /** A name with placeholders for its numbers; that of the weight, for block scales. */
  private static String pattern(String source) {
    String weight =
        source.endsWith(SCALES) ? source.substring(0, source.length() - SCALES.length()) : source;
    String[] segments = weight.split("\\.", -1);
    boolean inLayer = false;
    for (int i = 0; i < segments.length; i++) {
      if (isNumber(segments[i])) {
        segments[i] = inLayer ? "{expert}" : LAYER;
        inLayer = true;
      }
    }
    return String.join(".", segments);
  }

  private static boolean isNumber(String segment) {
    return !segment.isEmpty()
        && segment.length() <= MOST_DIGITS
        && segment.chars().allMatch(c -> c >= '0' && c <= '9');
  }

  /** The checkpoint's name for a canonical one; block scales are named after their weights. */
  public String translate(String canonical) {
    if (canonical.endsWith(".scale")) {
      String stem = canonical.substring(0, canonical.length() - ".scale".length());
      return translate(stem + ".weight") + SCALES;
    }
    String[] segments = canonical.split("\\.", -1);
    @Nullable String layer = number(segments, 1, LAYER);
    @Nullable String expert = number(segments, 3, "{expert}");
    String name = names.get(String.join(".", segments));
    if (name == null) {
      throw new IllegalStateException("family " + this.name + " has no name for " + canonical);
    }
    if (layer != null) {
      name = name.replace(LAYER, layer);
    }
    return expert == null ? name : name.replace("{expert}", expert);
  }

  /** Puts a placeholder into the place of a number, and returns the number, if it is there. */
  private static @Nullable String number(String[] segments, int at, String placeholder) {
    String before = placeholder.substring(1, placeholder.length() - 1) + "s";
    if (segments.length <= at || !segments[at - 1].equals(before)) {
      return null;
    }
    String number = segments[at];
    segments[at] = placeholder;
    return number;
  }
}

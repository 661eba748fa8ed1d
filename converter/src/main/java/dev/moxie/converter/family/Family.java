package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ParameterCount;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A set of checkpoints with one naming and one forward pass.
 *
 * @param name what a package calls it
 * @param modelTypes the values of {@code model_type} in config.json that mean it
 * @param modelClasses the class that config.json names, where it names any, as it is spelled
 * @param keys of config.json that it understands
 * @param architecture reads them; a contradiction is an IllegalArgumentException
 * @param layouts how checkpoints hold the weights, the first as it is released
 * @param notLoaded what the names of tensors begin with that the class leaves in the files; they
 *     are kept for export
 */
public record Family(
    String name,
    Set<String> modelTypes,
    Set<String> modelClasses,
    Keys keys,
    Function<Settings, Architecture> architecture,
    List<Layout> layouts,
    Set<String> notLoaded) {
  /** Keys that are read alike whatever the family. */
  static final List<String> COMMON =
      List.of("architectures", "dtype", "model_type", "quantization_config", "torch_dtype");

  /** A family whose {@code model_type} is its name. */
  Family(
      String name,
      String modelClass,
      Keys keys,
      Function<Settings, Architecture> architecture,
      List<Layout> layouts) {
    this(name, Set.of(name), Set.of(modelClass), keys, architecture, layouts, Set.of());
  }

  /** The same family, which goes by another {@code model_type} as well. */
  Family alias(String modelType) {
    Set<String> both = Set.of(name, modelType);
    return new Family(name, both, modelClasses, keys, architecture, layouts, notLoaded);
  }

  /** The same family, whose releases spell the class otherwise. */
  Family called(String modelClass) {
    Set<String> all = new TreeSet<>(modelClasses);
    all.add(modelClass);
    return new Family(name, modelTypes, all, keys, architecture, layouts, notLoaded);
  }

  /** The same family, whose class leaves tensors of such names in the files. */
  Family notLoading(String... prefixes) {
    return new Family(
        name, modelTypes, modelClasses, keys, architecture, layouts, Set.of(prefixes));
  }

  /** Whether its class reads a tensor of that name. */
  public boolean loads(String tensor) {
    return notLoaded.stream().noneMatch(tensor::startsWith);
  }

  /** The key of config.json that counts layers for multi-token prediction, if there is one. */
  public Optional<String> predictionKey() {
    return keys.find(Experts.PREDICTION).map(Key::name);
  }

  /**
   * What a config.json says of the model and of how its weights are stored.
   *
   * @param architecture with the layers for multi-token prediction that it declares
   * @param dtype of weights that are stored one by one; a checkpoint may yet deviate from it
   * @param encoding of some of them; plain if all are stored one by one
   */
  public record Description(Architecture architecture, Dtype dtype, Encoding encoding) {}

  /** What a config.json describes. */
  public Description describe(Config config) {
    if (config.has("architectures")
        && config.texts("architectures").stream().noneMatch(modelClasses::contains)) {
      throw config.unsupported(
          "architectures",
          String.join(" or ", modelClasses),
          config.texts("architectures").toString());
    }
    Dtype dtype = Dtypes.of(config);
    Encoding encoding = Quantisation.of(config);
    Architecture described = config.derive(() -> architecture.apply(new Settings(config, keys)));
    // Sizes that overflow a count of parameters are no model's.
    config.derive(() -> ParameterCount.of(described));
    config.requireAllUnderstood(keys.harmless());
    return new Description(described, dtype, encoding);
  }

  /** The layout that most of a checkpoint's names are of; of equals the first. */
  public Layout layout(Set<String> tensors) {
    if (layouts.size() == 1) {
      return layouts.getFirst();
    }
    Set<String> patterns = tensors.stream().map(Layout::pattern).collect(Collectors.toSet());
    Layout best = layouts.getFirst();
    for (Layout layout : layouts) {
      best = layout.matches(patterns) > best.matches(patterns) ? layout : best;
    }
    return best;
  }

  /** The layout in which it is released with some weights in an encoding. */
  Layout released(Encoding encoding) {
    return layouts.stream()
        .filter(
            layout ->
                !(encoding instanceof BlockScaled scaled)
                    || layout.places().values().stream()
                        .anyMatch(p -> scaled.scalesInCheckpoints(p.tensor()).isPresent()))
        .findFirst()
        .orElseThrow();
  }

  /** Whether the family has tensors of such a name, whatever the numbers in it. */
  public boolean hasName(String source) {
    return layouts.stream().anyMatch(layout -> layout.hasName(source));
  }
}

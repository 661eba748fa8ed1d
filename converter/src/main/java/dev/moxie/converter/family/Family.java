package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ParameterCount;
import dev.moxie.format.safetensors.Dtype;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A set of checkpoints with one naming and one forward pass.
 *
 * @param name what a package calls it
 * @param modelTypes the values of {@code model_type} in config.json that mean it
 * @param modelClasses the classes of which config.json names one, where it names any
 * @param keys of config.json that it understands
 * @param architecture reads them; a contradiction is an IllegalArgumentException
 * @param layouts how checkpoints hold the weights, the first as it is released
 * @param notLoaded what the names of tensors begin with that the class leaves in the files, or that
 *     another part of it loads; they are kept for export
 * @param within the object of config.json that has the keys; empty for config.json itself
 */
public record Family(
    String name,
    Set<String> modelTypes,
    Set<String> modelClasses,
    Keys keys,
    Function<Settings, Architecture> architecture,
    List<Layout> layouts,
    Set<String> notLoaded,
    String within) {
  private static final String TIED = "tie_word_embeddings";

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
    this(name, Set.of(name), Set.of(modelClass), keys, architecture, layouts, Set.of(), "");
  }

  /** The same family, which goes by another {@code model_type} as well. */
  Family alias(String modelType) {
    Set<String> both = Set.of(name, modelType);
    return new Family(name, both, modelClasses, keys, architecture, layouts, notLoaded, within);
  }

  /** The same family, whose class leaves tensors of such names in the files. */
  Family notLoading(String... prefixes) {
    return new Family(
        name, modelTypes, modelClasses, keys, architecture, layouts, Set.of(prefixes), within);
  }

  /** The same family, whose class goes by another name as well. */
  Family alsoClass(String other) {
    Set<String> both = new HashSet<>(modelClasses);
    both.add(other);
    return new Family(name, modelTypes, both, keys, architecture, layouts, notLoaded, within);
  }

  /** The same family within another model, whose own keys change nothing in it. */
  Family within(String object, String... others) {
    Keys all = keys.configs(object).neutral("about what is beside the text model", others);
    return new Family(
        name, modelTypes, modelClasses, all, architecture, layouts, notLoaded, object);
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
   * @param encoded modules whose matrices may be in it
   */
  public record Description(
      Architecture architecture, Dtype dtype, Encoding encoding, Modules encoded) {}

  /** What a config.json describes. */
  public Description describe(Config config) {
    if (config.has("architectures")
        && Collections.disjoint(config.texts("architectures"), modelClasses)) {
      throw config.unsupported(
          "architectures",
          modelClasses.stream().sorted().collect(Collectors.joining(" or ")),
          config.texts("architectures").toString());
    }
    Config own = within.isEmpty() ? config : config.object(within);
    Config stored = own.has("quantization_config") ? own : config;
    Dtype dtype = Dtypes.of(own.has("dtype") || own.has("torch_dtype") ? own : config);
    Quantisation quantisation = Quantisation.of(stored);
    config.understand(keys.neutral().stream().flatMap(n -> n.names().stream()).toList());
    Architecture described = own.derive(() -> architecture.apply(new Settings(own, keys)));
    if (!within.isEmpty() && config.has(TIED) && config.flag(TIED) != described.tiedEmbeddings()) {
      throw config.wrong(TIED, "what " + within + " says", "" + config.flag(TIED));
    }
    // Sizes that overflow a count of parameters are no model's.
    config.derive(() -> ParameterCount.of(described));
    config.requireAllUnderstood(keys.harmless());
    return new Description(described, dtype, quantisation.encoding(), quantisation.modules());
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
                        .map(place -> scaled.valuesFor(place.tensor()))
                        .anyMatch(name -> scaled.scalesInCheckpoints(name).isPresent()))
        .findFirst()
        .orElseThrow();
  }

  /** Whether the family has tensors of such a name, whatever the numbers in it. */
  public boolean hasName(String source) {
    return layouts.stream().anyMatch(layout -> layout.hasName(source));
  }
}

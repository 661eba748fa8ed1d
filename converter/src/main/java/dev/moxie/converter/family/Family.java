package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ParameterCount;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Dtype;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A set of checkpoints with one naming and one forward pass.
 *
 * @param name what a package calls it
 * @param modelTypes the values of {@code model_type} in config.json that mean it
 * @param modelClasses the classes of which config.json names one, where it names any
 * @param keys of config.json that it understands
 * @param architecture reads them; a contradiction is an IllegalArgumentException
 * @param layouts how checkpoints hold the weights, the first as it is released
 * @param composite a model that it is also found in; null without
 * @param notLoaded what the names of tensors begin with that the class leaves in the files; they
 *     are kept for export
 * @param tables that repeat what follows from config.json, by what their names end with; likewise
 */
public record Family(
    String name,
    Set<String> modelTypes,
    Set<String> modelClasses,
    Keys keys,
    Function<Settings, Architecture> architecture,
    List<Layout> layouts,
    @Nullable Composite composite,
    Set<String> notLoaded,
    Map<String, DecayTable> tables) {
  private static final String TIED = "tie_word_embeddings";
  private static final String QUANTISED = "quantization_config";

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
    this(
        name,
        Set.of(name),
        Set.of(modelClass),
        keys,
        architecture,
        layouts,
        null,
        Set.of(),
        Map.of());
  }

  /** The same family, which goes by another {@code model_type} as well. */
  Family alias(String modelType) {
    return with(Set.of(name, modelType), composite, notLoaded);
  }

  /** The same family, which goes by another {@code model_type} alone. */
  Family called(String modelType) {
    return with(Set.of(modelType), composite, notLoaded);
  }

  /** The same family, which is also found within another model. */
  Family within(Composite whole) {
    Set<String> types = new HashSet<>(modelTypes);
    types.add(whole.modelType());
    return with(Set.copyOf(types), whole, notLoaded);
  }

  /** The same family, whose class leaves tensors of such names in the files. */
  Family notLoading(String... prefixes) {
    return with(modelTypes, composite, Set.of(prefixes));
  }

  private Family with(Set<String> types, @Nullable Composite whole, Set<String> left) {
    return new Family(name, types, modelClasses, keys, architecture, layouts, whole, left, tables);
  }

  /** The same family, whose files have tables of such names. */
  Family repeating(Map<String, DecayTable> repeated) {
    return new Family(
        name,
        modelTypes,
        modelClasses,
        keys,
        architecture,
        layouts,
        composite,
        notLoaded,
        repeated);
  }

  /** The same family, whose class goes by another name as well. */
  Family alsoClass(String other) {
    Set<String> both = new HashSet<>(modelClasses);
    both.add(other);
    return new Family(
        name, modelTypes, both, keys, architecture, layouts, composite, notLoaded, tables);
  }

  /** Keys without effect, of config.json around the text model's as well. */
  public List<Keys.Neutral> neutral() {
    List<Keys.Neutral> all = new ArrayList<>(keys.neutral());
    if (composite != null) {
      all.add(composite.others());
    }
    return all;
  }

  /** Whether it is found within another model alone. */
  public boolean isAlwaysWithin() {
    return composite != null && modelTypes.equals(Set.of(composite.modelType()));
  }

  /** Whether its class reads a tensor of that name. */
  public boolean loads(String tensor) {
    return notLoaded.stream().noneMatch(tensor::startsWith)
        && towers().stream().noneMatch(tensor::startsWith);
  }

  /** What a tensor repeats, if it does. */
  public Optional<DecayTable> table(String tensor) {
    return tables.entrySet().stream()
        .filter(table -> tensor.endsWith(table.getKey()))
        .map(Map.Entry::getValue)
        .findFirst();
  }

  /** What the names of tensors begin with that other parts of a whole load. */
  public Set<String> towers() {
    return composite == null ? Set.of() : composite.towers();
  }

  /** The key of config.json that counts layers for multi-token prediction, if there is one. */
  public Optional<String> predictionKey() {
    return keys.find(Experts.PREDICTION).map(Key::name);
  }

  /**
   * What to do where layers have other experts than config.json says.
   *
   * @param alike whether all layers have as many
   */
  public String expertsRemedy(boolean alike) {
    Key<?> count = keys.find(Experts.COUNT).orElse(Experts.COUNT);
    if (alike) {
      return "correct %s, if nothing else of the model was changed".formatted(count.name());
    }
    return count.isByLayer()
        ? "state the experts of each layer in %s, as a list".formatted(count.name())
        : "%s is one number for all layers of a %s: prune each layer to as many experts"
            .formatted(count.name(), name);
  }

  /**
   * What a config.json says of the model and of how its weights are stored.
   *
   * @param architecture with the layers for multi-token prediction that it declares
   * @param dtype of weights that are stored one by one; a checkpoint may yet deviate from it
   * @param encodings of others; plain if all are stored one by one
   * @param encoded modules whose matrices may be in it
   */
  public record Description(
      Architecture architecture, Dtype dtype, Encodings encodings, Modules encoded) {
    /** What matrices of a role may be in. */
    public Encoding encoding(Role role) {
      return encodings.of(role);
    }
  }

  /** What a config.json describes. */
  public Description describe(Config config) {
    Composite whole =
        composite != null && config.text("model_type").equals(composite.modelType())
            ? composite
            : null;
    Set<String> classes = whole == null ? modelClasses : whole.modelClasses();
    if (config.has("architectures")
        && Collections.disjoint(config.texts("architectures"), classes)) {
      throw config.unsupported(
          "architectures",
          classes.stream().sorted().collect(Collectors.joining(" or ")),
          config.texts("architectures").toString());
    }
    Config text = whole == null ? config : config.object(Composite.TEXT);
    Keys own = whole == null ? keys : keys.configs(Composite.TEXT);
    Dtype dtype = Dtypes.of(whole == null ? config : Dtypes.stating(config, Composite.TEXT));
    Quantisation quantisation =
        Quantisation.of(whole == null ? config : quantised(config, text), text);
    Architecture read = text.derive(() -> architecture.apply(new Settings(text, own)));
    Architecture described =
        whole == null ? read : Parts.with(read, "tiedEmbeddings", tied(whole, config, text));
    if (whole != null) {
      config.understand(whole.others().names());
    }
    // Sizes that overflow a count of parameters are no model's.
    config.derive(() -> ParameterCount.of(described));
    config.requireAllUnderstood(own.harmless());
    return new Description(
        described, dtype, quantisation.encodings().apply(described), quantisation.modules());
  }

  /** Either may say how weights are stored. */
  private static Config quantised(Config config, Config text) {
    if (config.has(QUANTISED) && text.has(QUANTISED)) {
      throw config.wrong(QUANTISED, "one, here or in " + Composite.TEXT, "one in each");
    }
    return text.has(QUANTISED) ? text : config;
  }

  /** Either may say whether the head is the embedding; both must agree. */
  private static boolean tied(Composite whole, Config config, Config text) {
    boolean within = text.has(TIED) ? text.flag(TIED) : whole.tied();
    if (!config.has(TIED)) {
      return within;
    }
    if (text.has(TIED) && config.flag(TIED) != within) {
      throw config.wrong(TIED, "what " + Composite.TEXT + " says", "" + config.flag(TIED));
    }
    return config.flag(TIED);
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
                    || layout.places().entrySet().stream()
                        .filter(place -> place.getKey().matches(".*\\.experts\\..*weight"))
                        .map(place -> scaled.valuesFor(place.getValue().tensor()))
                        .noneMatch(name -> scaled.scaleNamesInCheckpoints(name).isEmpty()))
        .findFirst()
        .orElseThrow();
  }

  /** Whether the family has tensors of such a name, whatever the numbers in it. */
  public boolean hasName(String source) {
    return layouts.stream().anyMatch(layout -> layout.hasName(source));
  }
}

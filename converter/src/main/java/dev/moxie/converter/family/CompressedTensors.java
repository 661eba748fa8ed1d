package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Fp8Channel;
import dev.moxie.format.encoding.Int4Group;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * What the library compressed-tensors writes into {@code quantization_config}: groups of modules,
 * each with how its weights are stored (compressed-tensors, {@code quant_config.py} and {@code
 * quant_args.py}).
 */
final class CompressedTensors {
  private static final String FORMAT = "format";
  private static final String PACKED = "pack-quantized";
  private static final String FLOAT = "float-quantized";
  private static final String SIZE = "group_size";

  private CompressedTensors() {}

  static Quantisation of(Config config) {
    String format = config.word(FORMAT, List.of(FLOAT, PACKED));
    if (config.has("quantization_status")) {
      config.requireWord("quantization_status", "compressed");
    }
    absent(config, "kv_cache_scheme");
    empty(config, "sparsity_config", "transform_config");
    config.understand(List.of("global_compression_ratio", "version"));
    Config groups = config.object("config_groups");
    Set<String> targets = new TreeSet<>();
    Set<BlockScaled> encodings = new LinkedHashSet<>();
    for (String name : groups.names()) {
      Config group = groups.object(name);
      targets.addAll(group.texts("targets"));
      encodings.add(encoding(group, format));
    }
    if (encodings.size() != 1) {
      throw config.unsupported(
          "config_groups",
          "groups that all store weights alike",
          encodings.stream().map(BlockScaled::id).toList().toString());
    }
    List<String> ignored = config.has("ignore") ? config.texts("ignore") : List.of();
    try {
      var modules = new Modules(List.copyOf(targets), ignored);
      return Quantisation.all(encodings.iterator().next(), modules);
    } catch (IllegalArgumentException e) {
      throw config.unsupported(
          "config_groups and ignore",
          "names of modules, patterns after \"re:\", or \"Linear\"",
          String.valueOf(e.getMessage()));
    }
  }

  private static BlockScaled encoding(Config group, String format) {
    if (group.has(FORMAT)) {
      group.requireWord(FORMAT, format);
    }
    absent(group, "output_activations");
    if (group.has("input_activations")) {
      // Scales of activations that are found at run time leave the weights' values alone.
      Config activations = group.object("input_activations");
      if (!activations.has("dynamic") || !activations.flag("dynamic")) {
        throw activations.unsupported("dynamic", "true", "scales that are stored");
      }
      activations.understand(
          List.of("num_bits", "type", "strategy", "symmetric", SIZE, "block_structure"));
      understandMaking(activations);
    }
    Config weights = group.object("weights");
    if (!weights.flag("symmetric")) {
      throw weights.unsupported("symmetric", "true", "false, which has zero points");
    }
    if (weights.has("dynamic") && weights.flag("dynamic")) {
      throw weights.unsupported("dynamic", "false for weights", "true");
    }
    absent(weights, "block_structure", "zp_dtype");
    if (weights.has("actorder")) {
      // Others reorder the columns by a tensor of their own.
      weights.word("actorder", List.of("static", "weight"));
    }
    understandMaking(weights);
    return format.equals(PACKED) ? packed(weights) : channel(weights);
  }

  private static Fp8Channel channel(Config weights) {
    weights.requireWord("type", "float");
    require(weights, "num_bits", 8);
    weights.requireWord("strategy", "channel");
    absent(weights, SIZE);
    return new Fp8Channel();
  }

  private static Int4Group packed(Config weights) {
    weights.requireWord("type", "int");
    require(weights, "num_bits", 4);
    weights.requireWord("strategy", "group");
    return new Int4Group(weights.count(SIZE, 9999));
  }

  private static void require(Config config, String key, int only) {
    int found = config.count(key, Integer.MAX_VALUE);
    if (found != only) {
      throw config.unsupported(key, String.valueOf(only), String.valueOf(found));
    }
  }

  /** How scales were found, which does not matter to who multiplies by them. */
  private static void understandMaking(Config config) {
    config.understand(List.of("actorder", "observer", "observer_kwargs", "scale_dtype"));
  }

  private static void absent(Config config, String... keys) {
    for (String key : keys) {
      if (config.has(key)) {
        throw config.unsupported(key, "none", "one");
      }
    }
  }

  private static void empty(Config config, String... objects) {
    for (String key : objects) {
      if (config.has(key) && !config.object(key).names().isEmpty()) {
        throw config.unsupported(key, "nothing in it", config.object(key).names().toString());
      }
    }
  }
}

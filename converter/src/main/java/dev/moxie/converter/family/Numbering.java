package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.NumberedFiles;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Which file holds which parameter where files are numbered: JAX flattens a tree of parameters in
 * the order of their paths as text, in which layer 10 comes before layer 2 (jax, {@code
 * tree_util.tree_flatten}: dictionaries by sorted keys).
 *
 * @param files by path
 */
record Numbering(Map<String, String> files) {
  /** None: tensors have their own names. */
  static final Numbering NONE = new Numbering(Map.of());

  private static final String WEIGHT = ".weight";

  Numbering {
    files = Map.copyOf(files);
  }

  /** The numbers of the parameters of a model. */
  static Numbering of(Stream<String> weights) {
    Map<String, String> files = new HashMap<>();
    weights
        .map(name -> name.substring(0, name.length() - WEIGHT.length()))
        .distinct()
        .sorted()
        .forEach(path -> files.put(path, NumberedFiles.name(files.size())));
    return new Numbering(files);
  }

  /** The path of the parameter that a tensor is, or is the scales of. */
  Optional<String> path(String inFile) {
    return files.entrySet().stream()
        .filter(file -> inFile.startsWith(file.getValue() + "."))
        .map(Map.Entry::getKey)
        .findFirst();
  }

  /** The name that a tensor has where files are numbered. */
  String inFile(String name) {
    int end = name.lastIndexOf('.');
    String path = name.substring(0, Math.max(0, end));
    return files.containsKey(path) ? files.get(path) + name.substring(end) : name;
  }
}

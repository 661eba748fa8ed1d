package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.family.Layout;
import dev.moxie.converter.family.Recomputed;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Says what a checkpoint holds where a tensor is missing, since it is seldom just incomplete. */
final class MissingTensor {
  private static final int NAMES_SHOWN = 3;
  private static final String PREFIX = "model.";
  private static final Pattern SHARD = Pattern.compile(".*-\\d+-of-(\\d+)\\.safetensors");

  private final Checkpoint checkpoint;
  private final Family family;
  private final Layout layout;
  private final String name;

  /** Tensors whose names no checkpoint of the family has, by name. */
  private final List<SourceTensor> foreign;

  private MissingTensor(Checkpoint checkpoint, Family family, Layout layout, String name) {
    this.layout = layout;
    this.checkpoint = checkpoint;
    this.family = family;
    this.name = name;
    this.foreign =
        checkpoint.tensors().values().stream()
            .filter(tensor -> !family.hasName(tensor.name()) && !Recomputed.is(tensor))
            .sorted(Comparator.comparing(SourceTensor::name))
            .toList();
  }

  /**
   * The error.
   *
   * @param name of the missing tensor
   * @param expected the tensor, and what calls for it
   */
  static InvalidInputException of(
      Checkpoint checkpoint, Family family, Layout layout, String name, String expected) {
    var missing = new MissingTensor(checkpoint, family, layout, name);
    return missing
        .otherNames()
        .<InvalidInputException>map(
            other ->
                new UnsupportedException(
                    checkpoint.folder().toString(), expected, other.found(), other.remedy()))
        .orElseGet(
            () -> {
              Explanation gone = missing.gone();
              return new CorruptException(
                  checkpoint.folder().toString(), expected, gone.found(), gone.remedy());
            });
  }

  /** What is there, and what to do. */
  private record Explanation(String found, String remedy) {}

  /** The tensors are there, but otherwise. */
  private Optional<Explanation> otherNames() {
    if (foreign.isEmpty()) {
      return Optional.empty();
    }
    Optional<SourceTensor> adapter = first("(.+\\.)?(lora_[AB]|base_layer|lora_magnitude).*");
    if (adapter.isPresent()) {
      return Optional.of(
          new Explanation(
              "tensors of an adapter, as " + adapter.get().name(),
              "merge the adapter into its base model first (peft: merge_and_unload, then"
                  + " save_pretrained)"));
    }
    Optional<SourceTensor> renamed = renamed();
    if (renamed.isPresent()) {
      return Optional.of(
          new Explanation(
              "it under another prefix, %s, like %d more"
                  .formatted(renamed.get().name(), foreign.size() - 1),
              "rename the tensors, or save the language model by itself"));
    }
    Optional<SourceTensor> fused =
        foreign.stream()
            .filter(
                tensor ->
                    tensor.shape().rank() == 3 && tensor.name().matches(".*(expert|mlp|moe).*"))
            .findFirst();
    return Optional.of(
        fused
            .map(
                stack ->
                    new Explanation(
                        "another layout, in which the experts of a layer are fused into one tensor,"
                            + " as %s %s".formatted(stack.name(), stack.shape()),
                        "save it in the layout that the family is released in, a tensor for each"
                            + " expert and projection"))
            .orElseGet(
                () ->
                    new Explanation(
                        "none of that name, but others that no %s has: ".formatted(family.name())
                            + some(),
                        "rename them as the family's checkpoints have them, or pass the config.json"
                            + " that belongs to them")));
  }

  /** The tensor that is looked for, with something else in place of its first segment. */
  private Optional<SourceTensor> renamed() {
    String tail = name.startsWith(PREFIX) ? name.substring(PREFIX.length()) : name;
    return foreign.stream()
        .filter(tensor -> ("." + tensor.name()).endsWith("." + tail))
        .findFirst();
  }

  private Optional<SourceTensor> first(String names) {
    return foreign.stream().filter(tensor -> tensor.name().matches(names)).findFirst();
  }

  private String some() {
    String more =
        foreign.size() > NAMES_SHOWN ? " and %d more".formatted(foreign.size() - NAMES_SHOWN) : "";
    return foreign.stream()
            .limit(NAMES_SHOWN)
            .map(tensor -> tensor.name() + " " + tensor.shape())
            .collect(Collectors.joining(", "))
        + more;
  }

  /** Nothing is there under another name: something was lost, or never meant to be there. */
  private Explanation gone() {
    if (checkpoint.tensors().isEmpty()) {
      return new Explanation("no tensors at all", "fetch the weight files again");
    }
    if (name.equals(layout.nameOf("head.weight"))) {
      return new Explanation(
          "no head",
          "if the model's head is its embedding, set tie_word_embeddings to true in config.json");
    }
    OptionalInt layer = layout.layerOf(name);
    OptionalInt last = lastLayer();
    if (layer.isPresent() && last.isPresent() && layer.getAsInt() > last.getAsInt()) {
      return new Explanation(
          "layers up to %d only".formatted(last.getAsInt()),
          "correct the number of layers in config.json, or fetch the weight files that are"
              + " missing");
    }
    int files = checkpoint.headers().size();
    int all = declaredFiles();
    return all > files
        ? new Explanation(
            "none of that name, and %d of %d weight files".formatted(files, all),
            "fetch the others, and the index, which does not name them")
        : new Explanation(
            "none of that name among %d tensors".formatted(checkpoint.tensors().size()),
            "whatever wrote the checkpoint left it out, or config.json belongs to another; compare"
                + " with where it comes from");
  }

  private OptionalInt lastLayer() {
    return checkpoint.tensors().keySet().stream()
        .flatMapToInt(tensor -> layout.layerOf(tensor).stream())
        .max();
  }

  /** How many weight files there should be, by their names; 0 if these do not say. */
  private int declaredFiles() {
    return checkpoint.headers().keySet().stream()
        .map(file -> SHARD.matcher(file).results().findFirst())
        .flatMap(Optional::stream)
        .map(MatchResult::group)
        .map(text -> text.replaceFirst(SHARD.pattern(), "$1"))
        .filter(text -> text.length() <= 6)
        .mapToInt(Integer::parseInt)
        .max()
        .orElse(0);
  }
}

package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.Adapter;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Recomputed;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.family.Layout;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Predicate;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Says what a checkpoint holds where a tensor is missing, since it is seldom just incomplete. */
final class MissingTensor {
  private static final int NAMES_SHOWN = 3;
  private static final String PREFIX = "model.";
  private static final Pattern SHARD = Pattern.compile(".*-\\d+-of-(\\d+)\\.safetensors");

  /** Where a network's matrices lie, in the names of most programs. */
  private static final Pattern NETWORK = Pattern.compile(".*(expert|mlp|moe|ffn|feed_forward).*");

  /** Experts without a number: all of them. */
  private static final Pattern ALL_EXPERTS =
      Pattern.compile("(.+[._])?(?<!shared_)experts?[._](?!\\d).+");

  /** Projections that other programs multiply by at once. */
  private static final Pattern AT_ONCE =
      Pattern.compile(".*(qkv|query_key_value|gate_up|gate_and_up|up_gate|w13|w1_w3|wi_fused).*");

  private final Checkpoint checkpoint;
  private final Family family;
  private final Layout layout;
  private final Architecture architecture;
  private final String name;

  /** Tensors whose names no checkpoint of the family has, by name. */
  private final List<SourceTensor> foreign;

  private MissingTensor(
      Checkpoint checkpoint, Family family, Layout layout, Architecture architecture, String name) {
    this.layout = layout;
    this.checkpoint = checkpoint;
    this.family = family;
    this.architecture = architecture;
    this.name = name;
    this.foreign =
        checkpoint.tensors().values().stream()
            .filter(tensor -> !family.hasName(tensor.name()) && family.loads(tensor.name()))
            .filter(tensor -> !Recomputed.is(tensor))
            .sorted(Comparator.comparing(SourceTensor::name))
            .toList();
  }

  /**
   * The error.
   *
   * @param architecture that config.json describes
   * @param name of the missing tensor
   * @param expected the tensor, and what calls for it
   */
  static InvalidInputException of(
      Checkpoint checkpoint,
      Family family,
      Layout layout,
      Architecture architecture,
      String name,
      String expected) {
    var missing = new MissingTensor(checkpoint, family, layout, architecture, name);
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
    Optional<SourceTensor> adapter = first(tensor -> Adapter.isTensor(tensor.name()));
    if (adapter.isPresent()) {
      return Optional.of(
          new Explanation("tensors of an adapter, as " + adapter.get().name(), Adapter.REMEDY));
    }
    Optional<SourceTensor> renamed = renamed();
    if (renamed.isPresent()) {
      return Optional.of(
          new Explanation(
              "it under another prefix, %s, like %d more"
                  .formatted(renamed.get().name(), foreign.size() - 1),
              "rename the tensors, or save the language model by itself"));
    }
    return Optional.of(
        otherLayout()
            .map(
                layout ->
                    new Explanation(
                        "another layout, in which " + layout,
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

  /** How tensors of the model lie in larger ones, with an example. */
  private Optional<String> otherLayout() {
    Optional<String> experts =
        first(this::isStack)
            .map(
                stack ->
                    "the experts of a layer are fused into one tensor, "
                        + (stack.shape().rank() == 2 ? "one beside the other in a matrix, " : "")
                        + "as "
                        + words(stack));
    return experts.or(
        () ->
            first(tensor -> AT_ONCE.matcher(tensor.name()).matches())
                .map(
                    tensor ->
                        "several projections are fused into one tensor, as " + words(tensor)));
  }

  /**
   * Whether a tensor holds all experts of a layer: by its name, its rank, or by how large it is.
   */
  private boolean isStack(SourceTensor tensor) {
    int rank = tensor.shape().rank();
    if (rank < 2 || !NETWORK.matcher(tensor.name()).matches()) {
      return false;
    }
    return rank > 2 || ALL_EXPERTS.matcher(tensor.name()).matches() || isOfAllExperts(tensor);
  }

  /** Whether it has as many elements as one projection of all experts, or as two. */
  private boolean isOfAllExperts(SourceTensor tensor) {
    long elements = tensor.shape().elements();
    return architecture.runs().stream()
        .map(Architecture.Blocks::feedForward)
        .filter(FeedForward.MixtureOfExperts.class::isInstance)
        .map(FeedForward.MixtureOfExperts.class::cast)
        .filter(moe -> moe.weighted() > 1)
        .mapToLong(
            moe -> (long) moe.weighted() * moe.intermediateSize() * architecture.hiddenSize())
        .anyMatch(matrix -> elements == matrix || elements == 2 * matrix);
  }

  /** The tensor that is looked for, with something else in place of its first segment. */
  private Optional<SourceTensor> renamed() {
    String tail = name.startsWith(PREFIX) ? name.substring(PREFIX.length()) : name;
    return first(tensor -> ("." + tensor.name()).endsWith("." + tail));
  }

  private Optional<SourceTensor> first(Predicate<SourceTensor> which) {
    return foreign.stream().filter(which).findFirst();
  }

  private static String words(SourceTensor tensor) {
    return tensor.name() + " " + tensor.shape();
  }

  private String some() {
    String more =
        foreign.size() > NAMES_SHOWN ? " and %d more".formatted(foreign.size() - NAMES_SHOWN) : "";
    return foreign.stream()
            .limit(NAMES_SHOWN)
            .map(MissingTensor::words)
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
    SourceTensor head = checkpoint.tensors().get(layout.nameOf("head.weight"));
    if (name.equals(layout.nameOf("embedding.weight")) && head != null) {
      return new Explanation(
          "no embedding, but a head, " + words(head),
          ("if the head is the embedding, too, name it %s, with tie_word_embeddings true in"
                  + " config.json; else save the embedding, which was left out")
              .formatted(name));
    }
    OptionalInt layer = layout.layerOf(name);
    OptionalInt last = lastLayer();
    if (layer.isPresent() && last.isPresent() && layer.getAsInt() > last.getAsInt()) {
      return new Explanation(
          "layers up to %d only".formatted(last.getAsInt()),
          "correct the number of layers in config.json, or fetch the weight files that are"
              + " missing");
    }
    long experts = expertsBeside();
    if (layer.isPresent() && experts > 0) {
      return new Explanation(
          "%d experts with such a matrix in layer %d".formatted(experts, layer.getAsInt()),
          "if experts were pruned, the router must have a row for each and their numbers go from 0"
              + " on; else fetch the weight files that are missing");
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

  /** How many experts of its layer have the matrix that one lacks; 0 if it is of no expert. */
  private long expertsBeside() {
    String pattern = Layout.pattern(name);
    OptionalInt layer = layout.layerOf(name);
    return pattern.contains("{expert}")
        ? checkpoint.tensors().keySet().stream()
            .filter(other -> Layout.pattern(other).equals(pattern))
            .filter(other -> layout.layerOf(other).equals(layer))
            .count()
        : 0;
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

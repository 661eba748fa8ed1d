package dev.moxie.verifier.diff;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Limits;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The leaves of a checkpoint of whatever family, by its own names. An expert is seen by a segment
 * {@code experts.N}, or in a tensor of rank 3 or more whose name speaks of experts, expert first.
 */
final class OwnNames {
  private static final Pattern EXPERT = Pattern.compile("(.*\\bexperts\\.)(\\d{1,6})(\\..*)");

  /** What no config.json that is understood says: the blocks that nearly every release has. */
  private static final Fp8Block BLOCKS = new Fp8Block(128, 128);

  private final Map<String, Leaf> leaves = new LinkedHashMap<>();

  private OwnNames() {}

  /** The leaves of tensors, each of which is given with its own name and nothing else. */
  static Map<String, Leaf> of(Map<String, Leaf> tensors) {
    var names = new OwnNames();
    for (Leaf tensor : tensors.values()) {
      if (!isScales(tensor, tensors)) {
        names.add(tensor, scales(tensor, tensors));
      }
    }
    return names.leaves;
  }

  /** A tensor by its own name. */
  static Leaf tensor(
      String name,
      Dtype dtype,
      Encoding encoding,
      Shape shape,
      Extent extent,
      @Nullable String sha256,
      @Nullable Leaf scales) {
    Matcher expert = EXPERT.matcher(name);
    return expert.matches()
        ? new Leaf(
            name,
            expert.group(1) + "*" + expert.group(3),
            Integer.valueOf(expert.group(2)),
            "",
            dtype,
            encoding,
            shape,
            extent,
            sha256,
            scales)
        : new Leaf(name, name, null, "", dtype, encoding, shape, extent, sha256, scales);
  }

  /**
   * Adds a leaf.
   *
   * @throws CorruptException if there is one of that name
   */
  static void put(Map<String, Leaf> leaves, Leaf leaf) {
    if (leaves.put(leaf.name(), leaf) != null) {
      throw new CorruptException(
          leaf.extent().file() + ", tensor " + leaf.name(),
          "a name of its own",
          "one that another tensor or expert slice has",
          "rename it, nothing else tells them apart");
    }
  }

  private void add(Leaf tensor, @Nullable Leaf scales) {
    if (tensor.expert() == null
        && tensor.shape().rank() > 2
        && tensor.name().contains("experts")
        && tensor.shape().dim(0) > 0
        && tensor.shape().dim(0) <= Limits.MAX_EXPERTS
        && tensor.size() % tensor.shape().dim(0) == 0) {
      addSlices(tensor);
    } else {
      put(
          leaves,
          tensor(
              tensor.name(),
              tensor.dtype(),
              scales == null || tensor.scales() != null ? tensor.encoding() : BLOCKS,
              tensor.shape(),
              tensor.extent(),
              tensor.sha256(),
              scales));
    }
  }

  private void addSlices(Leaf tensor) {
    List<Long> dims = tensor.shape().dims();
    Shape shape = new Shape(dims.subList(1, dims.size()));
    int experts = Math.toIntExact(dims.getFirst());
    long size = tensor.size() / experts;
    for (int expert = 0; expert < experts; expert++) {
      String name = tensor.name() + " (expert " + expert + ")";
      put(
          leaves,
          new Leaf(
              name,
              tensor.name(),
              expert,
              "",
              tensor.dtype(),
              tensor.encoding(),
              shape,
              tensor.extent().slice(expert * size, size),
              null,
              null));
    }
  }

  private static @Nullable Leaf scales(Leaf weight, Map<String, Leaf> tensors) {
    Leaf scales =
        BLOCKS.scaleNamesInCheckpoints(weight.name()).stream()
            .map(tensors::get)
            .filter(Objects::nonNull)
            .findFirst()
            .orElse(null);
    return weight.scales() != null || scales == null || !fit(weight, scales)
        ? weight.scales()
        : scales;
  }

  private static boolean isScales(Leaf tensor, Map<String, Leaf> tensors) {
    String values = BlockScaled.valuesInCheckpoints(tensor.name());
    Leaf weight = values.equals(tensor.name()) ? null : tensors.get(values);
    return weight != null && fit(weight, tensor);
  }

  private static boolean fit(Leaf weight, Leaf scales) {
    return weight.dtype() == BLOCKS.dtype()
        && BLOCKS.scaleDtypes().contains(scales.dtype())
        && weight.shape().rank() == 2
        && BLOCKS.grid(weight.shape()).equals(scales.shape());
  }
}

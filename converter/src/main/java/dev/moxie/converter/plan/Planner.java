package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.CanonicalTensors;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.pack.ShardLayout;
import dev.moxie.format.safetensors.Dtype;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Plans a conversion: every tensor that the architecture calls for is found in the checkpoint, in
 * its shape, and every tensor of the checkpoint is used exactly once.
 */
public final class Planner {
  /** A backbone shard is closed when the next tensor would take it above this; in bytes. */
  private static final long BACKBONE_SHARD_BYTES = 4L << 30;

  private static final Set<Dtype> LOSSLESS = EnumSet.of(Dtype.BF16, Dtype.F16, Dtype.F32);

  private final Checkpoint checkpoint;
  private final Family family;
  private final Map<String, SourceTensor> unused;
  private final Map<String, List<SourceTensor>> sourcesOf = new HashMap<>();

  private Planner(Checkpoint checkpoint, Family family) {
    this.checkpoint = checkpoint;
    this.family = family;
    this.unused = new HashMap<>(checkpoint.tensors());
  }

  /**
   * Plans the conversion of a checkpoint.
   *
   * @param ignoredConfigKeys keys of config.json that the user declares to be without effect
   */
  public static ConversionPlan plan(Checkpoint checkpoint, Set<String> ignoredConfigKeys) {
    Config config = checkpoint.config(ignoredConfigKeys);
    Family family = Families.of(config);
    Architecture architecture = family.describe(config);
    var planner = new Planner(checkpoint, family);
    return new ConversionPlan(
        checkpoint,
        family,
        architecture,
        ignoredConfigKeys,
        planner.shards(CanonicalTensors.of(architecture)));
  }

  private List<ConversionPlan.Shard> shards(List<TensorSpec> specs) {
    List<ShardLayout.Item> backbone = new ArrayList<>();
    Map<Integer, List<ShardLayout.Item>> experts = new TreeMap<>();
    for (TensorSpec spec : specs) {
      var item = new ShardLayout.Item(spec, find(spec));
      if (spec.stack() != null && spec.layer() != null) {
        experts.computeIfAbsent(spec.layer(), layer -> new ArrayList<>()).add(item);
      } else {
        backbone.add(item);
      }
    }
    SourceTensor head = unused.get(family.translate("head.weight"));
    if (head != null) {
      throw new UnsupportedException(
          checkpoint.folder().resolve(head.file()) + ", tensor " + head.name(),
          "no head of its own, since config.json ties it to the embedding",
          "one",
          "remove the copy (transformers does, on save), or set tie_word_embeddings to false");
    }
    if (!unused.isEmpty()) {
      SourceTensor left =
          unused.values().stream().min(Comparator.comparing(SourceTensor::name)).orElseThrow();
      throw new UnsupportedException(
          checkpoint.folder().resolve(left.file()) + ", tensor " + left.name(),
          "only tensors that a " + family.name() + " of this config.json has",
          unused.size() + " that nothing uses, this one first",
          "config.json and weights do not belong together, or this build does not know the part");
    }
    List<ConversionPlan.Shard> shards = new ArrayList<>();
    List<List<ShardLayout.Item>> parts = split(backbone);
    for (int i = 0; i < parts.size(); i++) {
      shards.add(
          shard(
              String.format(Locale.ROOT, "backbone-%05d-of-%05d.safetensors", i + 1, parts.size()),
              parts.get(i)));
    }
    experts.forEach(
        (layer, items) ->
            shards.add(
                shard(String.format(Locale.ROOT, "experts-L%03d.safetensors", layer), items)));
    return shards;
  }

  private static List<List<ShardLayout.Item>> split(List<ShardLayout.Item> items) {
    List<List<ShardLayout.Item>> parts = new ArrayList<>();
    long bytes = Long.MAX_VALUE;
    for (ShardLayout.Item item : items) {
      long size = item.spec().shape().bytes(item.dtype());
      if (bytes > BACKBONE_SHARD_BYTES - size) {
        parts.add(new ArrayList<>());
        bytes = 0;
      }
      parts.getLast().add(item);
      bytes += size;
    }
    return parts;
  }

  private ConversionPlan.Shard shard(String file, List<ShardLayout.Item> items) {
    ShardLayout layout = ShardLayout.of(file, items);
    List<SourceTensor> sources = new ArrayList<>();
    for (ShardLayout.Placed placed : layout.tensors()) {
      if (placed.spec().role() != Role.PADDING) {
        sources.addAll(sourcesOf.getOrDefault(placed.spec().name(), List.of()));
      }
    }
    return new ConversionPlan.Shard(layout, sources);
  }

  /** Finds the sources of a tensor and returns the dtype that they share. */
  private Dtype find(TensorSpec spec) {
    List<SourceTensor> sources = new ArrayList<>();
    for (TensorSpec.Leaf leaf : spec.leaves()) {
      String name = family.translate(leaf.source());
      SourceTensor source = unused.remove(name);
      if (source == null) {
        throw new CorruptException(
            checkpoint.folder().toString(),
            "tensor " + name + " " + leaf.shape() + ", which config.json calls for",
            "none of that name",
            "the checkpoint is incomplete, or its config.json belongs to another");
      }
      requireFit(source, leaf, sources.isEmpty() ? source : sources.getFirst());
      sources.add(source);
    }
    sourcesOf.put(spec.name(), sources);
    return sources.getFirst().dtype();
  }

  private void requireFit(SourceTensor source, TensorSpec.Leaf leaf, SourceTensor first) {
    String where = checkpoint.folder().resolve(source.file()) + ", tensor " + source.name();
    if (!source.shape().equals(leaf.shape())) {
      throw new CorruptException(
          where,
          "shape " + leaf.shape() + ", as config.json says",
          source.shape().toString(),
          "config.json and weights do not belong together, fetch both again");
    }
    if (!LOSSLESS.contains(source.dtype())) {
      throw new UnsupportedException(
          where,
          "one of " + LOSSLESS,
          source.dtype().toString(),
          "this build does not convert that dtype");
    }
    if (source.dtype() != first.dtype()) {
      throw new UnsupportedException(
          where,
          first.dtype() + " like " + first.name() + ", with which it shares a stack",
          source.dtype().toString(),
          "this build does not convert experts of mixed dtypes");
    }
  }
}

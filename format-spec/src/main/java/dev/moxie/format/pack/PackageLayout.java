package dev.moxie.format.pack;

import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Which tensors lie in which weight file. Expert stacks have files of their own, one for each layer
 * and rank, and where that would be too large one for each run of experts; everything else is the
 * backbone.
 */
public final class PackageLayout {
  /** Of tensors in one file of the backbone, where the layout states no other limit. */
  private static final long BACKBONE_SHARD_BYTES = 4L << 30;

  private final Manifest.Layout layout;
  private final List<ShardLayout> shards = new ArrayList<>();

  private PackageLayout(Manifest.Layout layout) {
    this.layout = layout;
  }

  /**
   * The weight files, sorted by name.
   *
   * @param items in canonical order, each stack whole, scales just after their values
   * @throws IllegalArgumentException if there are more ranks than experts in a layer
   */
  public static List<ShardLayout> of(List<ShardLayout.Item> items, Manifest.Layout layout) {
    List<ShardLayout.Item> backbone = new ArrayList<>();
    Map<Integer, List<ShardLayout.Item>> experts = new TreeMap<>();
    for (ShardLayout.Item item : items) {
      Integer layer = item.spec().layer();
      if (item.spec().stack() != null && layer != null) {
        experts.computeIfAbsent(layer, key -> new ArrayList<>()).add(item);
      } else {
        backbone.add(item);
      }
    }
    var files = new PackageLayout(layout);
    files.addBackbone(backbone);
    experts.forEach(files::addExperts);
    return files.shards;
  }

  private void addBackbone(List<ShardLayout.Item> items) {
    List<List<ShardLayout.Item>> parts = split(items);
    for (int i = 0; i < parts.size(); i++) {
      String name =
          String.format(Locale.ROOT, "backbone-%05d-of-%05d.safetensors", i + 1, parts.size());
      shards.add(ShardLayout.of(name, null, parts.get(i)));
    }
  }

  /** Scales stay in the file of their values. */
  private List<List<ShardLayout.Item>> split(List<ShardLayout.Item> items) {
    Long max = layout.maxShardBytes();
    long limit = max == null ? BACKBONE_SHARD_BYTES : max;
    List<List<ShardLayout.Item>> parts = new ArrayList<>();
    long bytes = 0;
    for (ShardLayout.Item item : items) {
      boolean full = item.bytes() > limit - bytes;
      if (parts.isEmpty() || (full && item.spec().role() != Role.SCALE)) {
        parts.add(new ArrayList<>());
        bytes = 0;
      }
      parts.getLast().add(item);
      bytes += item.bytes();
    }
    return parts;
  }

  private void addExperts(int layer, List<ShardLayout.Item> stacks) {
    int experts = stack(stacks.getFirst()).experts();
    int ranks = layout.expertParallel();
    if (ranks > experts) {
      throw new IllegalArgumentException(
          ranks + " ranks for the " + experts + " experts of layer " + layer);
    }
    for (int rank = 0; rank < ranks; rank++) {
      int first = layout.firstExpert(rank, experts);
      addRank(layer, rank, first, layout.firstExpert(rank + 1, experts) - first, stacks);
    }
  }

  /** The experts of a rank, in as few files of about equal size as the limit allows. */
  private void addRank(int layer, int rank, int first, int experts, List<ShardLayout.Item> stacks) {
    int ranks = layout.expertParallel();
    int files = Math.ceilDiv(experts, mostExperts(stacks));
    for (int file = 0; file < files; file++) {
      int from = first + Math.toIntExact((long) file * experts / files);
      int to = first + Math.toIntExact((file + 1L) * experts / files);
      List<ShardLayout.Item> parts =
          stacks.stream()
              .map(
                  item ->
                      new ShardLayout.Item(
                          item.spec().part(from, to - from), item.dtype(), item.encoding()))
              .toList();
      String name =
          String.format(Locale.ROOT, "experts-L%03d", layer)
              + (ranks == 1 ? "" : "-rank-" + of(rank, ranks - 1, ranks))
              + (files == 1 ? "" : "-part-" + of(file + 1, files, files))
              + ".safetensors";
      shards.add(ShardLayout.of(name, ranks == 1 ? null : rank, parts));
    }
  }

  /** Experts that one file may hold: at least one, however large it is. */
  private int mostExperts(List<ShardLayout.Item> stacks) {
    Long max = layout.maxShardBytes();
    long expert = stacks.stream().mapToLong(i -> i.bytes() / stack(i).experts()).sum();
    return max == null ? Integer.MAX_VALUE : Math.clamp(max / expert, 1, Integer.MAX_VALUE);
  }

  /** A number and how many there are, in equally many digits, so that names sort as numbers do. */
  private static String of(int number, int largest, int count) {
    int digits = String.valueOf(largest).length();
    return String.format(Locale.ROOT, "%0" + digits + "d-of-%d", number, count);
  }

  private static TensorSpec.Stack stack(ShardLayout.Item item) {
    TensorSpec.@Nullable Stack stack = item.spec().stack();
    if (stack == null) {
      throw new IllegalArgumentException(item.spec().name() + " is no stack");
    }
    return stack;
  }
}

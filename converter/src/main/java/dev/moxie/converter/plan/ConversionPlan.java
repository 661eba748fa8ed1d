package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.Family;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.ShardLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * What a conversion will do, known in full before the first write.
 *
 * @param ignoredConfigKeys keys that the user declared to be without effect
 * @param shards independent of each other, sorted by file name
 */
public record ConversionPlan(
    Checkpoint checkpoint,
    Family family,
    Architecture architecture,
    Set<String> ignoredConfigKeys,
    List<Shard> shards) {

  /**
   * One weight file of the package.
   *
   * @param sources one source tensor per leaf, in the order of the layout's leaves; fillers have
   *     none
   */
  public record Shard(ShardLayout layout, List<SourceTensor> sources) {
    public Shard {
      sources = List.copyOf(sources);
    }

    public long bytes() {
      return layout.header().fileBytes();
    }

    /** Every leaf with its source, in the order of the bytes; fillers left out. */
    public List<Move> moves() {
      List<Move> moves = new ArrayList<>();
      for (ShardLayout.Placed placed : layout.tensors()) {
        if (placed.spec().role() != Role.PADDING) {
          for (TensorSpec.Leaf leaf : placed.spec().leaves()) {
            moves.add(new Move(placed, leaf, sources.get(moves.size())));
          }
        }
      }
      return moves;
    }
  }

  /** One source tensor, and the leaf that it becomes. */
  public record Move(ShardLayout.Placed tensor, TensorSpec.Leaf leaf, SourceTensor source) {
    /** Offset of the leaf's first byte, from the start of its file. */
    public long offset() {
      return tensor.offset() + leaf.position() * source.bytes();
    }
  }

  public ConversionPlan {
    ignoredConfigKeys = Set.copyOf(ignoredConfigKeys);
    shards = List.copyOf(shards);
  }

  /** Where the package will say it comes from. */
  public Manifest.Provenance provenance() {
    List<Manifest.SourceShard> files = new ArrayList<>();
    checkpoint
        .headers()
        .forEach((file, header) -> files.add(new Manifest.SourceShard(file, header.fileBytes())));
    return new Manifest.Provenance(
        family.name(), files, checkpoint.ignored(), ignoredConfigKeys.stream().sorted().toList());
  }

  /** Bytes of all weight files together. */
  public long bytes() {
    return shards.stream().mapToLong(Shard::bytes).sum();
  }
}

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

/**
 * What a conversion will do, known in full before the first write.
 *
 * @param conversion what the user decided
 * @param prediction what becomes of the layers for multi-token prediction
 * @param shards independent of each other, sorted by file name
 */
public record ConversionPlan(
    Checkpoint checkpoint,
    Family family,
    Architecture architecture,
    Conversion conversion,
    Manifest.PredictionLayers prediction,
    List<Shard> shards) {

  /**
   * One weight file of the package.
   *
   * @param pieces one per leaf, in the order of the layout's leaves; fillers have none
   */
  public record Shard(ShardLayout layout, List<Piece> pieces) {
    public Shard {
      pieces = List.copyOf(pieces);
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
            moves.add(new Move(placed, leaf, pieces.get(moves.size())));
          }
        }
      }
      return moves;
    }
  }

  /** A source tensor and what happens to its bytes. */
  public record Piece(SourceTensor source, Transform transform) {
    /** Source tensors that it uses up: the weight, and its scales where they are consumed. */
    public int sourceTensors() {
      return transform instanceof Transform.Dequantise ? 2 : 1;
    }

    /** Bytes that are read for it. */
    long bytesRead() {
      return source.bytes()
          + (transform instanceof Transform.Dequantise d ? d.scales().bytes() : 0);
    }
  }

  /** One piece, and the leaf that it becomes. */
  public record Move(ShardLayout.Placed tensor, TensorSpec.Leaf leaf, Piece piece) {
    /** Bytes of the leaf. */
    public long bytes() {
      return leaf.shape().bytes(tensor.dtype());
    }

    /** Offset of the leaf's first byte, from the start of its file. */
    public long offset() {
      return tensor.offset() + leaf.position() * bytes();
    }
  }

  public ConversionPlan {
    shards = List.copyOf(shards);
  }

  /** Where the package will say it comes from. */
  public Manifest.Provenance provenance() {
    List<Manifest.SourceShard> files = new ArrayList<>();
    checkpoint
        .headers()
        .forEach((file, header) -> files.add(new Manifest.SourceShard(file, header.fileBytes())));
    return new Manifest.Provenance(
        family.name(),
        files,
        checkpoint.ignored(),
        conversion.ignoredConfigKeys().stream().sorted().toList(),
        prediction,
        conversion.cast());
  }

  /** Tensors of the checkpoint that the package is made of. */
  public int sourceTensors() {
    return shards.stream()
        .flatMap(shard -> shard.pieces().stream())
        .mapToInt(Piece::sourceTensors)
        .sum();
  }

  /** Bytes that will be read from the checkpoint's weight files. */
  public long bytesRead() {
    return shards.stream()
        .flatMap(shard -> shard.pieces().stream())
        .mapToLong(Piece::bytesRead)
        .sum();
  }

  /** Bytes of all weight files together. */
  public long bytes() {
    return shards.stream().mapToLong(Shard::bytes).sum();
  }
}

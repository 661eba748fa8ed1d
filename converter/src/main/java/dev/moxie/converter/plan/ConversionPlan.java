package dev.moxie.converter.plan;

import dev.moxie.converter.adapter.LoraAdapter;
import dev.moxie.converter.adapter.LowRank;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.LeftBehind;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.Family;
import dev.moxie.format.file.FileStamp;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.pack.PackageWriter;
import dev.moxie.format.pack.ShardLayout;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What a conversion will do, known in full before the first write.
 *
 * @param conversion what the user decided
 * @param prediction what becomes of the layers for multi-token prediction
 * @param adapter that is merged; null without
 * @param leftOut what the names of tensors begin with that the user chose to leave out, sorted
 * @param shards independent of each other, sorted by file name
 */
public record ConversionPlan(
    Checkpoint checkpoint,
    Family family,
    Architecture architecture,
    Conversion conversion,
    Manifest.PredictionLayers prediction,
    @Nullable LoraAdapter adapter,
    List<String> leftOut,
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

    /**
     * A shard of tensors, or parts of them.
     *
     * @param pieces by the whole tensor's name, one per leaf
     */
    static Shard of(ShardLayout layout, Map<String, List<Piece>> pieces) {
      List<Piece> own = new ArrayList<>();
      for (ShardLayout.Placed placed : layout.tensors()) {
        TensorSpec spec = placed.spec();
        if (spec.role() != Role.PADDING) {
          TensorSpec.Stack stack = spec.stack();
          int first = stack == null ? 0 : stack.firstExpert() * stack.projections().size();
          List<Piece> whole = Objects.requireNonNull(pieces.get(spec.name()));
          own.addAll(whole.subList(first, first + spec.leaves().size()));
        }
      }
      return new Shard(layout, own);
    }

    public long bytes() {
      return layout.header().fileBytes();
    }

    /** Bytes that are read for it. */
    public long bytesRead() {
      return pieces.stream().mapToLong(Piece::bytesRead).sum();
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

  /**
   * Some bytes of a file, and what happens to them.
   *
   * @param origin what the package will say about it
   */
  public record Piece(Place place, Transform transform, PackageWriter.Origin origin) {
    /** A leaf of a checkpoint. */
    public static Piece of(Place place, Transform transform) {
      SourceTensor source = place.tensor();
      return new Piece(
          place,
          transform,
          new PackageWriter.Origin(
              source.file(), source.name(), place.view(), transform.id(), null));
    }

    /** The tensor that it is, or is a view of. */
    public SourceTensor source() {
      return place.tensor();
    }

    /** Where it is from: the weight, and its scales where they are consumed. */
    List<Place> places() {
      return transform
          .decoding()
          .map(decode -> List.of(place, decode.scales()))
          .orElse(List.of(place));
    }

    /** Source tensors that it is made of. */
    public List<SourceTensor> sourceTensors() {
      return places().stream().map(Place::tensor).toList();
    }

    /** Bytes that are read for it. */
    long bytesRead() {
      return places().stream().mapToLong(Place::bytes).sum();
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
    leftOut = List.copyOf(leftOut);
    shards = List.copyOf(shards);
  }

  /** What is to be written. */
  public PackageContents contents() {
    Map<String, Supplier<byte[]>> files = new TreeMap<>();
    for (String name : checkpoint.companions()) {
      files.put(PackagePaths.SOURCE + name, () -> read(name));
    }
    // From the weight files' headers an export restores them.
    checkpoint
        .headers()
        .forEach(
            (name, header) ->
                files.put(PackagePaths.headerOf(name), () -> checkpoint.headerBytes(name)));
    return new PackageContents(
        checkpoint.folder(),
        shards,
        files,
        architecture,
        conversion.layout(),
        provenance(),
        this::job,
        adapter == null
            ? List.of()
            : adapter.files().stream().map(f -> adapter.folder().resolve(f.path())).toList());
  }

  private byte[] read(String file) {
    try {
      return Files.readAllBytes(checkpoint.folder().resolve(file));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Everything that the bytes of the package depend on. */
  private Map<String, String> job() {
    Map<String, String> facts = new TreeMap<>();
    Manifest.Cast cast = conversion.cast();
    facts.put("--dtype", cast == null ? "none" : cast.dtype().toString());
    facts.put("--quantize", String.valueOf(conversion.quantisation()));
    facts.put("--mtp", prediction.toString().toLowerCase(Locale.ROOT));
    facts.put(
        "--ignore-config-key",
        conversion.ignoredConfigKeys().stream().sorted().toList().toString());
    facts.put("--towers", leftOut.isEmpty() ? "keep" : "drop");
    facts.put(
        "--adapter",
        adapter == null
            ? "none"
            : adapter.files().stream()
                .map(file -> file.path() + " of SHA-256 " + file.sha256())
                .collect(Collectors.joining(", ")));
    facts.put("config.json", "SHA-256 " + Digests.sha256(read("config.json")));
    checkpoint
        .headers()
        .forEach(
            (name, header) ->
                facts.put(
                    name,
                    "%d bytes of %s with a header of SHA-256 %s"
                        .formatted(
                            header.fileBytes(),
                            FileStamp.of(checkpoint.folder().resolve(name)).modified(),
                            Digests.sha256(checkpoint.headerBytes(name)))));
    return facts;
  }

  /** Where the package will say it comes from. */
  public Manifest.Provenance provenance() {
    List<Manifest.SourceShard> files = new ArrayList<>();
    checkpoint
        .headers()
        .forEach((file, header) -> files.add(new Manifest.SourceShard(file, header.fileBytes())));
    return new Manifest.Provenance(
        family.name(),
        files.stream()
            .sorted(Comparator.comparing(Manifest.SourceShard::file, PackagePaths.ORDER))
            .toList(),
        checkpoint.left().stream().map(LeftBehind::name).sorted(PackagePaths.ORDER).toList(),
        conversion.ignoredConfigKeys().stream()
            .filter(checkpoint.config(Set.of())::occurs)
            .sorted(PackagePaths.ORDER)
            .toList(),
        prediction,
        conversion.cast(),
        conversion.quantisation(),
        adapter == null ? null : adapter.provenance(updates()),
        leftOut.isEmpty() ? null : leftOut);
  }

  /** What the adapter adds, one to each matrix that it changes. */
  private List<LowRank> updates() {
    return shards.stream()
        .flatMap(shard -> shard.pieces().stream())
        .map(Piece::transform)
        .filter(t -> !(t instanceof Transform.Quantise q && q.half() == Transform.Half.SCALES))
        .flatMap(transform -> transform.merged().stream())
        .toList();
  }

  /** Tensors of the checkpoint that the package is made of. */
  public int sourceTensors() {
    return (int)
        tensors(
            shards.stream()
                .flatMap(shard -> shard.pieces().stream())
                .flatMap(piece -> piece.places().stream()));
  }

  /** Tensors that places are in, each counted once; all of one checkpoint. */
  static long tensors(Stream<Place> places) {
    Set<SourceTensor> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    places.forEach(place -> seen.add(place.tensor()));
    return seen.size();
  }

  /** Bytes that will be read from the checkpoint's weight files. */
  public long bytesRead() {
    return shards.stream().mapToLong(Shard::bytesRead).sum();
  }

  /** Bytes of all weight files together. */
  public long bytes() {
    return shards.stream().mapToLong(Shard::bytes).sum();
  }
}

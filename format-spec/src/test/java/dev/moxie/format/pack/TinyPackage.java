package dev.moxie.format.pack;

import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.TensorDeclaration;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** A package of a few hundred numbers, for the tests of this module and for conformance vectors. */
final class TinyPackage {
  static final Architecture ARCHITECTURE = architecture(3, 4, 2);

  private TinyPackage() {}

  static Architecture architecture(int experts, int hidden, int intermediate) {
    var routing =
        new Routing(
            2,
            Routing.Score.SOFTMAX,
            null,
            null,
            new Routing.Normalisation(0),
            1,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32);
    return new Architecture(
        5,
        hidden,
        16,
        1e-5,
        false,
        List.of(
            new Architecture.Blocks(
                1,
                new Attention.GroupedQuery(
                    2,
                    1,
                    2,
                    0.7071067811865475,
                    null,
                    new Rotary(1e4, 2, Rotary.Pairing.HALVES, null)),
                new FeedForward.MixtureOfExperts(
                    experts, intermediate, FeedForward.Activation.SILU, routing, null))),
        null);
  }

  /** Everything that the one above has not, with block scales for matrices inside the layers. */
  static final Architecture LATENT = latent();

  private static Architecture latent() {
    var yarn = new Rotary.Yarn(4, 8, 32, 1, 1, 1.3);
    var attention =
        new Attention.MultiHeadLatent(
            2, 3, 4, 2, 3, 0.5, 1e-6, new Rotary(1e4, 2, Rotary.Pairing.INTERLEAVED, yarn));
    var routing =
        new Routing(
            2,
            Routing.Score.SIGMOID,
            Routing.Bias.SELECTION,
            new Routing.Groups(
                2,
                1,
                Routing.Groups.Aggregate.SUM_OF_TOP_TWO,
                Routing.Groups.MaskValue.NEGATIVE_INFINITY),
            new Routing.Normalisation(1e-20),
            2.5,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32);
    var experts =
        new FeedForward.MixtureOfExperts(
            4, 130, FeedForward.Activation.SILU, routing, new FeedForward.SharedExperts(5));
    return new Architecture(
        5,
        4,
        16,
        1e-5,
        false,
        List.of(
            new Architecture.Blocks(
                1, attention, new FeedForward.Dense(6, FeedForward.Activation.SILU)),
            new Architecture.Blocks(1, attention, experts)),
        new Architecture.Prediction(1, attention, experts));
  }

  static void writeLatent(Path target) {
    write(target, LATENT, false);
  }

  static void write(Path target) {
    write(target, ARCHITECTURE, false);
  }

  static void write(Path target, Architecture architecture, boolean force) {
    write(target, architecture, Manifest.Layout.PLAIN, force);
  }

  static void write(Path target, Architecture architecture, Manifest.Layout layout, boolean force) {
    write(
        target,
        architecture,
        layout,
        layouts(architecture, layout),
        Stored.of(architecture),
        force);
  }

  /** Writes a package of these shards, whether the architecture calls for them or not. */
  static void write(
      Path target,
      Architecture architecture,
      Manifest.Layout layout,
      List<ShardLayout> shards,
      Stored stored,
      boolean force) {
    try (PackageWriter writer = PackageWriter.create(target, force, job(shards, Map.of()))) {
      writer.writeFile("source/config.json", "{}\n".getBytes(StandardCharsets.UTF_8));
      for (ShardLayout shard : shards) {
        writer.writeShard(shard, origins(shard, stored), (tensor, leaf) -> bytes(leaf));
      }
      commit(writer, architecture, layout, shards, stored);
    }
  }

  static StagedFolder.Job job(
      Architecture architecture, Manifest.Layout layout, Map<String, String> facts) {
    return job(layouts(architecture, layout), facts);
  }

  private static StagedFolder.Job job(List<ShardLayout> shards, Map<String, String> facts) {
    Set<String> files = new TreeSet<>(Set.of("source/config.json", PackagePaths.headerOf(SOURCE)));
    shards.forEach(shard -> files.add(shard.file()));
    return new StagedFolder.Job(facts, files);
  }

  static void commit(PackageWriter writer, Architecture architecture, Manifest.Layout layout) {
    commit(writer, architecture, layout, layouts(architecture, layout), Stored.of(architecture));
  }

  private static void commit(
      PackageWriter writer,
      Architecture architecture,
      Manifest.Layout layout,
      List<ShardLayout> shards,
      Stored stored) {
    SafetensorsHeader header = sourceHeader(shards, stored);
    writer.writeFile(PackagePaths.headerOf(SOURCE), header.encode());
    writer.commit(
        new Manifest.Producer("tiny", "1"),
        architecture,
        layout,
        new Manifest.Provenance(
            "tiny",
            List.of(new Manifest.SourceShard(SOURCE, header.fileBytes())),
            List.of(),
            List.of(),
            architecture.prediction() == null
                ? Manifest.PredictionLayers.NONE
                : Manifest.PredictionLayers.KEPT,
            stored.cast()));
  }

  /** How the tensors of a package are stored, and what they are made from. */
  enum Stored {
    /** BF16, copied. */
    COPIED,
    /** Matrices inside layers in fp8 blocks, copied. */
    SCALED,
    /** BF16 that was F32, but for routers. */
    CAST,
    /** BF16 that was in fp8 blocks, as SCALED is. */
    DEQUANTISED;

    static Stored of(Architecture architecture) {
      return architecture.equals(LATENT) ? SCALED : COPIED;
    }

    private boolean quantised(TensorSpec spec) {
      return (this == SCALED || this == DEQUANTISED)
          && spec.layer() != null
          && spec.shape().rank() > 1
          && spec.role() != Role.ROUTER
          && !spec.role().id().startsWith("prediction");
    }

    private boolean cast(TensorSpec spec) {
      return this == CAST && !spec.role().keepsItsDtype();
    }

    List<ShardLayout.Item> items(TensorSpec spec) {
      if (this == SCALED && quantised(spec)) {
        return List.of(
            new ShardLayout.Item(spec, Fp8Blocks.VALUES),
            new ShardLayout.Item(Fp8Blocks.scales(spec), Fp8Blocks.SCALES));
      }
      boolean kept = this == CAST && !cast(spec);
      return List.of(new ShardLayout.Item(spec, kept ? Dtype.F32 : Dtype.BF16));
    }

    String transform(TensorSpec spec) {
      if (cast(spec)) {
        return IndexRow.CAST;
      }
      return this == DEQUANTISED && quantised(spec) ? IndexRow.DEQUANTISE_FP8_BLOCK : IndexRow.COPY;
    }

    List<TensorDeclaration> sources(TensorSpec spec, TensorSpec.Leaf leaf, Dtype stored) {
      if (this == DEQUANTISED && quantised(spec)) {
        return List.of(
            new TensorDeclaration(leaf.source(), Fp8Blocks.VALUES, leaf.shape()),
            new TensorDeclaration(
                leaf.source() + Fp8Blocks.SOURCE_SCALES,
                Fp8Blocks.SCALES,
                Fp8Blocks.grid(leaf.shape())));
      }
      return List.of(
          new TensorDeclaration(source(leaf), cast(spec) ? Dtype.F32 : stored, leaf.shape()));
    }

    Manifest.@Nullable Cast cast() {
      return this == CAST || this == DEQUANTISED
          ? new Manifest.Cast(Dtype.BF16, Manifest.Rounding.NEAREST_EVEN)
          : null;
    }
  }

  static List<ShardLayout.Item> items(Architecture architecture, Stored stored) {
    return Tensors.of(architecture).stream().flatMap(spec -> stored.items(spec).stream()).toList();
  }

  static List<ShardLayout> layouts(Architecture architecture, Manifest.Layout layout) {
    return PackageLayout.of(items(architecture, Stored.of(architecture)), layout);
  }

  static final String SOURCE = "model.safetensors";

  /** The header of the one weight file that everything comes from. */
  private static SafetensorsHeader sourceHeader(List<ShardLayout> shards, Stored stored) {
    List<TensorDeclaration> tensors = new ArrayList<>();
    for (ShardLayout shard : shards) {
      for (ShardLayout.Placed placed : shard.tensors()) {
        if (placed.spec().role() != Role.PADDING) {
          for (TensorSpec.Leaf leaf : placed.spec().leaves()) {
            tensors.addAll(stored.sources(placed.spec(), leaf, placed.dtype()));
          }
        }
      }
    }
    return SafetensorsHeader.layOut(Map.of("format", "pt"), tensors);
  }

  /** What is opaque is named after its source. */
  private static String source(TensorSpec.Leaf leaf) {
    String prefix = TensorSpec.opaque(SOURCE, "", leaf.shape()).name();
    return leaf.source().startsWith(prefix)
        ? leaf.source().substring(prefix.length())
        : leaf.source();
  }

  /** Every leaf comes from a tensor of its own name. */
  static List<PackageWriter.Origin> origins(ShardLayout layout) {
    return origins(layout, Stored.COPIED);
  }

  private static List<PackageWriter.Origin> origins(ShardLayout layout, Stored stored) {
    return layout.tensors().stream()
        .map(ShardLayout.Placed::spec)
        .filter(spec -> spec.role() != Role.PADDING)
        .flatMap(
            spec ->
                spec.leaves().stream()
                    .map(
                        leaf ->
                            new PackageWriter.Origin(
                                SOURCE, source(leaf), stored.transform(spec), null)))
        .toList();
  }

  /** A counter that starts at a value derived from the leaf's name. */
  static PackageWriter.LeafBytes bytes(TensorSpec.Leaf leaf) {
    int[] next = {leaf.source().hashCode()};
    return into -> {
      while (into.hasRemaining()) {
        into.put((byte) next[0]++);
      }
    };
  }
}

package dev.moxie.format.pack;

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
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

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
    try (PackageWriter writer = PackageWriter.create(target, force, Map.of())) {
      writer.writeFile("source/config.json", "{}\n".getBytes(StandardCharsets.UTF_8));
      for (ShardLayout shard : layouts(architecture, layout)) {
        writer.writeShard(shard, origins(shard), (tensor, leaf) -> bytes(leaf));
      }
      commit(writer, architecture, layout);
    }
  }

  static void commit(PackageWriter writer, Architecture architecture, Manifest.Layout layout) {
    writer.commit(
        new Manifest.Producer("tiny", "1"),
        architecture,
        layout,
        new Manifest.Provenance(
            "tiny",
            List.of(new Manifest.SourceShard("model.safetensors", 1)),
            List.of(),
            List.of(),
            architecture.prediction() == null
                ? Manifest.PredictionLayers.NONE
                : Manifest.PredictionLayers.KEPT,
            null));
  }

  static List<ShardLayout> layouts(Architecture architecture, Manifest.Layout layout) {
    boolean scaled = architecture.equals(LATENT);
    List<ShardLayout.Item> items = new ArrayList<>();
    for (TensorSpec spec : Tensors.of(architecture)) {
      if (scaled && spec.layer() != null && isScaled(spec)) {
        items.add(new ShardLayout.Item(spec, Fp8Blocks.VALUES));
        items.add(new ShardLayout.Item(Fp8Blocks.scales(spec), Fp8Blocks.SCALES));
      } else {
        items.add(new ShardLayout.Item(spec, Dtype.BF16));
      }
    }
    return PackageLayout.of(items, layout);
  }

  private static boolean isScaled(TensorSpec spec) {
    return spec.shape().rank() > 1
        && spec.role() != Role.ROUTER
        && !spec.role().id().startsWith("prediction");
  }

  /** Every leaf comes unchanged from a tensor of its own name. */
  static List<PackageWriter.Origin> origins(ShardLayout layout) {
    return layout.tensors().stream()
        .filter(placed -> placed.spec().role() != Role.PADDING)
        .flatMap(placed -> placed.spec().leaves().stream())
        .map(
            leaf ->
                new PackageWriter.Origin("model.safetensors", leaf.source(), IndexRow.COPY, null))
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

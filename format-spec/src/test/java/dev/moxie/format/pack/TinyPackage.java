package dev.moxie.format.pack;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.CanonicalTensors;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Dtype;
import java.io.ByteArrayInputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A package of a few hundred numbers, for the tests of this module and for conformance vectors. */
final class TinyPackage {
  static final Architecture ARCHITECTURE = architecture(3, 4, 2);

  private TinyPackage() {}

  static Architecture architecture(int experts, int hidden, int intermediate) {
    var routing =
        new Routing(
            2,
            Routing.Score.SOFTMAX,
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
                    2, 1, 2, 0.7071067811865475, null, new Rotary(1e4, 2, Rotary.Pairing.HALVES)),
                new FeedForward.MixtureOfExperts(
                    experts, intermediate, FeedForward.Activation.SILU, routing))));
  }

  static void write(Path target) {
    write(target, ARCHITECTURE, false);
  }

  static void write(Path target, Architecture architecture, boolean force) {
    try (PackageWriter writer = PackageWriter.create(target, force)) {
      writer.writeFile(
          "source/config.json", new ByteArrayInputStream("{}\n".getBytes(StandardCharsets.UTF_8)));
      for (ShardLayout layout : layouts(architecture)) {
        writer.writeShard(layout, TinyPackage::copy);
      }
      commit(writer, architecture);
    }
  }

  static void commit(PackageWriter writer, Architecture architecture) {
    writer.commit(
        new Manifest.Producer("tiny", "1"),
        architecture,
        new Manifest.Provenance(
            "tiny",
            List.of(new Manifest.SourceShard("model.safetensors", 1)),
            List.of(),
            List.of()));
  }

  static List<ShardLayout> layouts(Architecture architecture) {
    List<ShardLayout.Item> backbone = new ArrayList<>();
    List<ShardLayout.Item> experts = new ArrayList<>();
    for (TensorSpec spec : CanonicalTensors.of(architecture)) {
      (spec.stack() == null ? backbone : experts).add(new ShardLayout.Item(spec, Dtype.BF16));
    }
    return List.of(
        ShardLayout.of("backbone-00001-of-00001.safetensors", backbone),
        ShardLayout.of("experts-L000.safetensors", experts));
  }

  /** Fills a leaf with a counter that starts at a value derived from its name. */
  static PackageWriter.Origin copy(TensorSpec tensor, TensorSpec.Leaf leaf, PackageWriter.Sink sink)
      throws java.io.IOException {
    byte[] bytes = new byte[(int) leaf.shape().bytes(Dtype.BF16)];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (leaf.source().hashCode() + i);
    }
    sink.accept(ByteBuffer.wrap(bytes));
    return new PackageWriter.Origin("model.safetensors", leaf.source(), IndexRow.COPY);
  }
}

package dev.moxie.verifier.diff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.SafetensorsWriter.Tensor;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.verifier.equivalence.EquivalenceCheck;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The same weights with a tensor for each expert, and fused. */
class FusedLayoutTest {
  private static final Path FUSED = Fixtures.fusedMixtral();

  @TempDir Path folder;

  @Test
  void whatIsFusedIsTheSameModel() throws IOException {
    Path split = split();
    Path ofFused = Models.convert(FUSED, folder.resolve("p"));
    Path ofSplit = Models.convert(split, folder.resolve("q"));
    for (List<Path> pair :
        List.of(
            List.of(FUSED, split),
            List.of(ofFused, ofSplit),
            List.of(ofFused, split),
            List.of(FUSED, ofSplit))) {
      Diff diff = Models.diff(pair.getFirst(), pair.getLast());
      assertEquals(Diff.Sense.SAME_BYTES, diff.sense(), DiffText.of(diff, false));
      assertEquals(0, diff.tensors().different());
    }
  }

  @Test
  void oneLeafFromAnotherPlaceIsFoundByItsName() {
    Path wrong =
        Models.convert(
            FUSED, folder.resolve("p"), null, Manifest.Layout.PLAIN, swapped("experts-L001"));
    try (MoxiePackage pack = MoxiePackage.open(wrong)) {
      Report.Equivalence report = EquivalenceCheck.run(pack, FUSED);
      assertEquals(Verdict.FAIL, report.verdict());
      assertEquals(1, report.different());
      assertTrue(
          report.findings().stream()
              .anyMatch(
                  finding ->
                      finding.toString().contains("layers.1.experts.gate_up.weight")
                          && finding.toString().contains("offset 0, extents [3072]")),
          report.findings().toString());
    }
    assertEquals(Diff.Sense.DIFFERENT, Models.diff(wrong, FUSED).sense());
  }

  /** Gate of the first expert for up, and the other way round. */
  private static UnaryOperator<ConversionPlan> swapped(String file) {
    return plan -> {
      List<ConversionPlan.Shard> shards = new ArrayList<>();
      for (ConversionPlan.Shard shard : plan.shards()) {
        List<ConversionPlan.Piece> pieces = new ArrayList<>(shard.pieces());
        if (shard.layout().file().startsWith(file)) {
          Collections.swap(pieces, 0, 1);
        }
        shards.add(new ConversionPlan.Shard(shard.layout(), pieces));
      }
      return new ConversionPlan(
          plan.checkpoint(),
          plan.family(),
          plan.architecture(),
          plan.conversion(),
          plan.prediction(),
          plan.adapter(),
          shards);
    };
  }

  /** The fused checkpoint as Mixtral is released. */
  private Path split() throws IOException {
    List<Tensor> tensors = new ArrayList<>();
    for (Tensor tensor : Models.tensors(FUSED)) {
      if (tensor.name().endsWith("gate_up_proj")) {
        split(tensors, tensor, List.of("w1", "w3"));
      } else if (tensor.name().endsWith("down_proj")) {
        split(tensors, tensor, List.of("w2"));
      } else {
        String name = tensor.name().replace("mlp.gate", "block_sparse_moe.gate");
        tensors.add(new Tensor(name, tensor.dtype(), tensor.shape(), tensor.data()));
      }
    }
    String config = Files.readString(FUSED.resolve("config.json"));
    Path split = Models.write(folder.resolve("split"), config, tensors);
    Files.copy(FUSED.resolve("generation_config.json"), split.resolve("generation_config.json"));
    return split;
  }

  private static void split(List<Tensor> into, Tensor stack, List<String> matrices) {
    String layer = stack.name().substring(0, stack.name().indexOf("mlp."));
    int experts = Math.toIntExact(stack.shape().dim(0));
    Shape one = Shape.of(stack.shape().dim(1) / matrices.size(), stack.shape().dim(2));
    int size = Math.toIntExact(one.bytes(stack.dtype()));
    ByteBuffer data = stack.data().duplicate();
    for (int i = 0; i < experts * matrices.size(); i++) {
      into.add(
          new Tensor(
              "%sblock_sparse_moe.experts.%d.%s.weight"
                  .formatted(layer, i / matrices.size(), matrices.get(i % matrices.size())),
              stack.dtype(),
              one,
              data.slice(i * size, size)));
    }
  }
}

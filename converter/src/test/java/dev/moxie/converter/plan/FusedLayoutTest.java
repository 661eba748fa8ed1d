package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.FusedMixtral;
import dev.moxie.converter.export.Exporter;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Exhaustive
class FusedLayoutTest {
  private static final Path MIXTRAL = Fixtures.randomMixtrals().getFirst();

  @TempDir Path folder;

  @Test
  void thePackageHasTheLeavesOfTheOtherLayout() {
    EditedCheckpoint fused = FusedMixtral.of(MIXTRAL, folder.resolve("c"));
    try (MoxiePackage one = convert(MIXTRAL, "p");
        MoxiePackage other = convert(fused.folder(), "q")) {
      assertEquals(leaves(one), leaves(other));
      IndexRow up = other.tensor("layers.0.attention.query.weight");
      assertEquals(null, up.view());
    }
  }

  @Test
  void theCheckpointComesBackWithWhateverFiles() throws IOException {
    EditedCheckpoint fused = FusedMixtral.of(MIXTRAL, folder.resolve("c"));
    var layout = new Manifest.Layout(3, 10_000L);
    try (MoxiePackage pack =
        EditedCheckpoint.convert(
            fused.folder(), folder.resolve("p"), new Conversion(Set.of(), null, null, layout))) {
      assertTrue(Exporter.export(pack, folder.resolve("x"), 2, Progress.NONE).asItWas());
    }
    assertEquals(FolderDigests.of(fused.folder()), FolderDigests.of(folder.resolve("x")));
  }

  /** The file is composed anew, in the shapes of the source. */
  @Test
  void aCastPackageIsExportedInTheSameLayout() {
    EditedCheckpoint fused = FusedMixtral.of(MIXTRAL, folder.resolve("c"));
    var cast = new Manifest.Cast(Dtype.F32, Manifest.Rounding.NEAREST_EVEN);
    var conversion = new Conversion(Set.of(), null, cast);
    try (MoxiePackage pack =
            EditedCheckpoint.convert(fused.folder(), folder.resolve("p"), conversion);
        MoxiePackage direct = EditedCheckpoint.convert(MIXTRAL, folder.resolve("q"), conversion)) {
      assertEquals(leaves(direct), leaves(pack));
      Exporter.export(pack, folder.resolve("x"), 1, Progress.NONE);
    }
    try (MoxiePackage again = convert(folder.resolve("x"), "r");
        MoxiePackage pack = MoxiePackage.open(folder.resolve("p"))) {
      assertEquals(leaves(pack), leaves(again));
    }
  }

  @Test
  void aStackOfAnotherShapeIsRefusedByName() {
    EditedCheckpoint fused = FusedMixtral.of(MIXTRAL, folder.resolve("c"));
    String name = "model.layers.1.mlp.experts.gate_up_proj";
    Shape shape = fused.tensor(name).shape();
    Shape turned = Shape.of(shape.dim(0), shape.dim(2), shape.dim(1));
    fused.put(name, Dtype.BF16, turned, fused.bytes(name)).write();
    var e = assertThrows(CorruptException.class, () -> convert(fused.folder(), "p"));
    assertTrue(Objects.requireNonNull(e.getMessage()).contains(name), e.getMessage());
    assertTrue(e.getMessage().contains(shape.toString()), e.getMessage());
  }

  private MoxiePackage convert(Path checkpoint, String target) {
    return EditedCheckpoint.convert(checkpoint, folder.resolve(target), Conversion.LOSSLESS);
  }

  private static Map<String, String> leaves(MoxiePackage pack) {
    Map<String, String> leaves = new TreeMap<>();
    pack.rows().stream()
        .filter(IndexRow::isLeaf)
        .forEach(row -> leaves.put(row.describe(), row.dtype() + " " + row.sha256()));
    return leaves;
  }
}

package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.verifier.equivalence.EquivalenceCheck;
import dev.moxie.verifier.report.Report;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Parts of a model that are not for text come along, unless somebody says otherwise. */
class TowersTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @CsvSource({
    "qwen3_vl_moe, model.visual.",
    "qwen3_5_moe_fused, model.visual.",
    "kimi_k25, mm_projector. vision_tower.",
    "gemma4, model.embed_vision."
  })
  void whatIsLeftOutIsSaidAndMissingInAnExport(String name, String towers) {
    Path base = Fixtures.root().resolve("random").resolve(name);
    List<String> leftOut = List.of(towers.split(" "));
    Set<String> expected = new TreeSet<>(Checkpoint.open(base).tensors().keySet());
    int all = expected.size();
    assertTrue(expected.removeIf(tensor -> leftOut.stream().anyMatch(tensor::startsWith)));
    try (MoxiePackage pack = convert(base, false)) {
      assertEquals(leftOut, pack.manifest().provenance().leftOut());
      assertTrue(
          pack.rows().stream()
              .filter(row -> row.role() == Role.OPAQUE)
              .noneMatch(
                  row ->
                      leftOut.stream()
                          .anyMatch(Objects.requireNonNull(row.sourceTensor())::startsWith)));
      Report.Equivalence report = EquivalenceCheck.run(pack, base);
      assertTrue(report.verdict().passed(), report.findings().toString());
      assertEquals(all - expected.size(), report.leftOut());
      Exporter.Result result = Exporter.export(pack, folder.resolve("again"), 1, Progress.NONE);
      assertFalse(result.asItWas());
    }
    assertEquals(expected, Checkpoint.open(folder.resolve("again")).tensors().keySet());
  }

  @Test
  void aPackageThatKeptThemSaysNothing() {
    Path base = Fixtures.root().resolve("random/qwen3_vl_moe");
    try (MoxiePackage pack = convert(base, true)) {
      assertNull(pack.manifest().provenance().leftOut());
      assertTrue(Exporter.export(pack, folder.resolve("again"), 1, Progress.NONE).asItWas());
    }
  }

  private MoxiePackage convert(Path base, boolean towers) {
    var conversion =
        new Conversion(
            Set.of(), Conversion.Prediction.KEEP, null, null, Manifest.Layout.PLAIN, towers);
    Executor.execute(
        Planner.plan(Checkpoint.open(base), conversion).contents(),
        folder.resolve("p"),
        new Manifest.Producer("test", "0"),
        2,
        false,
        Progress.NONE);
    return MoxiePackage.open(folder.resolve("p"));
  }
}

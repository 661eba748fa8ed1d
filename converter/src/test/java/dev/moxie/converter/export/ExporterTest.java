package dev.moxie.converter.export;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Disk;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

@Exhaustive
class ExporterTest {
  @TempDir Path folder;
  private Path target;

  @BeforeEach
  void nameTarget() {
    target = folder.resolve("exported");
  }

  static List<Path> checkpoints() {
    return Fixtures.all();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void aLosslessPackageGivesEveryFileBackByteForByte(Path checkpoint) throws IOException {
    try (MoxiePackage pack = convert(checkpoint, Conversion.Prediction.KEEP, null)) {
      assertTrue(Exporter.export(pack, target, 2, Progress.NONE).asItWas());
    }
    assertEquals(FolderDigests.of(checkpoint), FolderDigests.of(target));
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F32"})
  void aCastPackageGivesACheckpointThatNoLongerClaimsFp8(Dtype dtype) throws IOException {
    Path checkpoint = Fixtures.tinyDeepSeek();
    Map<String, String> leaves;
    try (MoxiePackage pack = convert(checkpoint, Conversion.Prediction.KEEP, dtype)) {
      assertFalse(Exporter.export(pack, target, 2, Progress.NONE).asItWas());
      leaves = leaves(pack);
    }
    var config = StrictJson.readObject(target.resolve("config.json"));
    assertFalse(config.has("quantization_config"));
    assertEquals(
        dtype == Dtype.BF16 ? "bfloat16" : "float32", config.get("torch_dtype").stringValue());
    Checkpoint exported = Checkpoint.open(target);
    assertEquals(
        exported.tensors().values().stream().mapToLong(t -> t.bytes()).sum(),
        StrictJson.readObject(target.resolve("model.safetensors.index.json"))
            .get("metadata")
            .get("total_size")
            .longValue());
    assertTrue(exported.tensors().keySet().stream().noneMatch(name -> name.contains("scale_inv")));
    // Converted again, without loss, it gives the same weights.
    assertEquals(leaves, leaves(execute(target, folder.resolve("again"), KEEP)));
  }

  @Test
  void aCastThatChangesNothingGivesEveryFileBack() throws IOException {
    Path checkpoint = Fixtures.root().resolve("variants/f32-three-experts");
    try (MoxiePackage pack = convert(checkpoint, null, Dtype.F32)) {
      assertTrue(Exporter.export(pack, target, 2, Progress.NONE).asItWas());
    }
    assertEquals(FolderDigests.of(checkpoint), FolderDigests.of(target));
  }

  @Test
  void droppedLayersStayAway() {
    try (MoxiePackage pack = convert(Fixtures.tinyDeepSeek(), Conversion.Prediction.DROP, null)) {
      assertFalse(Exporter.export(pack, target, 2, Progress.NONE).asItWas());
    }
    Checkpoint exported = Checkpoint.open(target);
    assertTrue(exported.tensors().keySet().stream().noneMatch(name -> name.contains("layers.4.")));
    var config = StrictJson.readObject(target.resolve("config.json"));
    assertEquals(0, config.get("num_nextn_predict_layers").intValue());
    assertTrue(config.has("quantization_config"));
    assertEquals(501 - 124, exported.tensors().size());
  }

  /** An export that stops at a step, as on a full disk; null for one that does not. */
  private List<String> export(MoxiePackage pack, @Nullable String step, String path) {
    List<String> finished = new ArrayList<>();
    Progress progress =
        new Progress() {
          @Override
          public void advance(long bytes) {}

          @Override
          public void finished(String what) {
            finished.add(what);
          }
        };
    Disk.watched(
        (name, at) -> {
          if (name.equals(step) && at.endsWith(path)) {
            throw new IOException("the disk is full");
          }
        },
        () -> Exporter.export(pack, target, 1, progress));
    return finished;
  }

  @Test
  void anInterruptedExportGoesOnWithWhatIsFinishedAndWhole() throws IOException {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    String first = "model-00001-of-00004.safetensors";
    String second = "model-00002-of-00004.safetensors";
    String third = "model-00003-of-00004.safetensors";
    try (MoxiePackage pack = convert(checkpoint, null, null)) {
      assertThrows(UncheckedIOException.class, () -> export(pack, "create", third));
      assertFalse(Files.exists(target));
      Path partial = folder.resolve(".exported.moxie-partial").resolve(second);
      byte[] bytes = Files.readAllBytes(partial);
      bytes[bytes.length - 1] ^= 1;
      Files.write(partial, bytes);
      List<String> finished = export(pack, null, "");
      assertEquals(
          List.of("kept " + first, "written again " + second, "written " + third),
          finished.subList(0, 3));
    }
    assertEquals(FolderDigests.of(checkpoint), FolderDigests.of(target));
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(target, folder.resolve("p")), left.sorted().toList());
    }
  }

  @Test
  void anotherPackageDoesNotGoOnWithAnInterruptedExport() {
    try (MoxiePackage pack = convert(Fixtures.randomMixtrals().getFirst(), null, null)) {
      String last = "model-00004-of-00004.safetensors";
      assertThrows(UncheckedIOException.class, () -> export(pack, "create", last));
    }
    Conversion conversion = new Conversion(Set.of(), null, null);
    try (MoxiePackage other =
        execute(Fixtures.randomMixtrals().getLast(), folder.resolve("other"), conversion)) {
      String message =
          assertThrows(UsageException.class, () -> export(other, null, "")).getMessage();
      assertTrue(message.contains("the package was"), message);
    }
  }

  @Test
  void damagedWeightsAreFoundAndNothingIsLeft() throws IOException {
    try (MoxiePackage pack = convert(Fixtures.tinyMixtral(), null, null)) {
      Path shard = pack.folder().resolve("experts-L002.safetensors");
      byte[] bytes = Files.readAllBytes(shard);
      bytes[bytes.length - 5] ^= 1;
      Files.write(shard, bytes);
      String message =
          assertThrows(
                  CorruptException.class, () -> Exporter.export(pack, target, 2, Progress.NONE))
              .getMessage();
      assertTrue(message.contains("experts-L002"), message);
    }
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(folder.resolve("p")), left.toList());
    }
  }

  @Test
  void nothingIsReplacedAndNoPackageWrittenInto() throws IOException {
    try (MoxiePackage pack = convert(Fixtures.randomMixtrals().getFirst(), null, null)) {
      Files.createDirectories(target);
      Files.writeString(target.resolve("mine"), "keep");
      for (Path place : List.of(target, pack.folder(), pack.folder().resolve("deep/inside/it"))) {
        assertThrows(UsageException.class, () -> Exporter.export(pack, place, 1, Progress.NONE));
      }
    }
    assertEquals("keep", Files.readString(target.resolve("mine")));
    assertFalse(Files.exists(folder.resolve("p/deep")));
  }

  private MoxiePackage convert(
      Path checkpoint, Conversion.@Nullable Prediction prediction, @Nullable Dtype dtype) {
    Manifest.Cast cast =
        dtype == null ? null : new Manifest.Cast(dtype, Manifest.Rounding.NEAREST_EVEN);
    return execute(checkpoint, folder.resolve("p"), new Conversion(Set.of(), prediction, cast));
  }

  private static final Conversion KEEP = new Conversion(Set.of(), Conversion.Prediction.KEEP, null);

  private static MoxiePackage execute(Path checkpoint, Path target, Conversion conversion) {
    Executor.execute(
        Planner.plan(Checkpoint.open(checkpoint), conversion).contents(),
        target,
        new Manifest.Producer("test", "0"),
        2,
        false,
        Progress.NONE);
    return MoxiePackage.open(target);
  }

  private static Map<String, String> leaves(MoxiePackage pack) {
    Map<String, String> leaves = new TreeMap<>();
    pack.rows().stream()
        .filter(IndexRow::isLeaf)
        .forEach(row -> leaves.put(row.describe(), row.sha256()));
    return leaves;
  }
}

package dev.moxie.converter.export;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.LeftBehind;
import dev.moxie.converter.inspect.Inspection;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.converter.plan.Resharding;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** What lies in a checkpoint besides what its config.json calls for comes back all the same. */
@Exhaustive
class RestoredAsItWasTest {
  private static final Path MIXTRAL = Fixtures.randomMixtrals().getFirst();
  private static final Path TIED = Fixtures.root().resolve("variants/f16-tied");
  private static final String OUTPUT = "model.layers.0.self_attn.o_proj.weight";

  @TempDir Path folder;

  @Test
  void theIndexDecidesWhichOfTwoCopiesIsRead() throws IOException {
    EditedCheckpoint edited = overlaid();
    assertEquals(1, Checkpoint.open(edited.folder()).superseded().size());
    assertTrue(Checkpoint.open(edited.folder()).notes().getFirst().contains(OUTPUT));
    try (MoxiePackage pack = assertRestored(edited, null)) {
      byte[] read =
          pack.bytes(pack.tensor("layers.0.attention.output.weight"))
              .toArray(ValueLayout.JAVA_BYTE);
      assertArrayEquals(edited.bytes(OUTPUT), read);
    }
  }

  @Test
  void anExportThatIsCastStillSaysWhichCopyIsRead() {
    EditedCheckpoint edited = overlaid();
    var cast = new Manifest.Cast(Dtype.F32, Manifest.Rounding.NEAREST_EVEN);
    Path target = folder.resolve("x");
    String digest;
    try (MoxiePackage pack =
        EditedCheckpoint.convert(
            edited.folder(), folder.resolve("p"), new Conversion(Set.of(), null, cast))) {
      digest = digest(pack);
      assertFalse(Exporter.export(pack, target, 1, Progress.NONE).asItWas());
    }
    try (MoxiePackage again =
        EditedCheckpoint.convert(target, folder.resolve("q"), Conversion.LOSSLESS)) {
      assertEquals(digest, digest(again));
    }
  }

  @Test
  void aPackageReshardedIsTheOneConvertedSo() throws IOException {
    EditedCheckpoint edited = overlaid();
    var layout = new Manifest.Layout(2, null);
    var conversion = new Conversion(Set.of(), null, null, layout);
    EditedCheckpoint.convert(edited.folder(), folder.resolve("direct"), conversion).close();
    try (MoxiePackage pack =
        EditedCheckpoint.convert(edited.folder(), folder.resolve("p"), Conversion.LOSSLESS)) {
      Executor.execute(
          Resharding.plan(pack, layout),
          folder.resolve("resharded"),
          new Manifest.Producer("test", "0"),
          1,
          false,
          Progress.NONE);
    }
    assertEquals(
        FolderDigests.of(folder.resolve("direct")), FolderDigests.of(folder.resolve("resharded")));
  }

  @Test
  void aWholeFileBesideAStaleIndexIsReadAndWhatIsLeftOfAnotherIsNamed() throws IOException {
    EditedCheckpoint edited = EditedCheckpoint.of(MIXTRAL, folder.resolve("c"));
    edited.text(
        "model.safetensors.index.json",
        "{\"weight_map\": {\"lm_head.weight\": \"model-00001-of-00002.safetensors\","
            + " \"model.norm.weight\": \"model-00002-of-00002.safetensors\"}}");
    Path left = edited.folder().resolve("model-00001-of-00002.safetensors");
    Files.copy(edited.folder().resolve("model.safetensors"), left);
    List<String> notes = Checkpoint.open(edited.folder()).notes();
    assertTrue(notes.getFirst().contains("read from model.safetensors"), notes.toString());
    try (MoxiePackage pack = convert(edited, null)) {
      Exporter.Result result = Exporter.export(pack, folder.resolve("x"), 1, Progress.NONE);
      assertEquals(List.of(left.getFileName().toString()), result.missing());
    }
    Files.delete(left);
    assertEquals(FolderDigests.of(edited.folder()), FolderDigests.of(folder.resolve("x")));
  }

  @ParameterizedTest
  @CsvSource({
    "model.rotary_emb.inv_freq, F32, 16",
    "model.layers.0.self_attn.rotary_emb.inv_freq, F64, 7",
    "model.rotary_emb.original_inv_freq, F32, 3",
    "model.layers.1.self_attn.rotary_emb.cos_cached, BF16, 1x1x9x4",
    "model.layers.1.self_attn.rotary_emb.sin_cached, F8_E4M3, 0x4",
    "model.layers.1.self_attn.rotary_emb.cos_sin_cache, F32, 9x4",
    "model.rotary_emb.attention_scaling, F32, ''",
    "rope_freqs.weight, F32, 16",
    "model.layers.0.self_attn.tril, BOOL, 5x5",
    "model.layers.0.self_attn.masked_bias, F32, ''",
    "model.layers.0.self_attn.bias, BOOL, 1x1x5x5",
    "model.position_ids, I64, 1x9"
  })
  void whatLoadingComputesAnewIsKeptWhateverItsShape(String name, Dtype dtype, String shape)
      throws IOException {
    EditedCheckpoint edited = EditedCheckpoint.of(MIXTRAL, folder.resolve("c"));
    edited.add(name, dtype, numbers(shape)).write();
    try (MoxiePackage pack = assertRestored(edited, null)) {
      IndexRow row = pack.tensor("opaque.model.safetensors/" + name);
      assertEquals(Encoding.PLAIN, row.encoding());
      assertEquals(dtype, row.dtype());
    }
  }

  @Test
  void whatTheClassLeavesInTheFilesIsKept() throws IOException {
    String name = "model.mtp_block.0.mlp.gate_proj.weight";
    EditedCheckpoint edited =
        EditedCheckpoint.of(Fixtures.root().resolve("random/ernie4_5_moe"), folder.resolve("c"));
    edited.config(json -> json.put("num_nextn_predict_layers", 1));
    edited.add(name, Dtype.BF16, 3, 2).write();
    try (MoxiePackage pack = assertRestored(edited, null)) {
      assertEquals(Dtype.BF16, pack.tensor("opaque.model.safetensors/" + name).dtype());
    }
    EditedCheckpoint other = EditedCheckpoint.of(MIXTRAL, folder.resolve("other"));
    other.add(name, Dtype.BF16, 3, 2).write();
    assertRefused(other, name);
  }

  @ParameterizedTest
  @CsvSource({
    "model.layers.0.self_attn.q_proj.bias, 64",
    "model.layers.0.self_attn.bias, 64",
    "model.layers.0.self_attn.rotary_emb.learned, 64"
  })
  void whatMayBeAParameterIsNoBuffer(String name, String shape) {
    EditedCheckpoint edited = EditedCheckpoint.of(MIXTRAL, folder.resolve("c"));
    edited.add(name, Dtype.BF16, numbers(shape)).write();
    assertRefused(edited, name);
  }

  @Test
  void aTiedHeadThatIsStoredIsKeptIfItIsACopyAndRefusedIfNot() throws IOException {
    EditedCheckpoint edited = EditedCheckpoint.of(TIED, folder.resolve("c"));
    var embedding = edited.tensor("model.embed_tokens.weight");
    byte[] bytes = edited.bytes(embedding.name());
    edited.put("lm_head.weight", embedding.dtype(), embedding.shape(), bytes).write();
    assertRestored(edited, null).close();
    byte[] other = bytes.clone();
    other[other.length - 1] ^= 1;
    edited.put("lm_head.weight", embedding.dtype(), embedding.shape(), other).write();
    assertRefused(edited, "others from byte " + (other.length - 1));
    edited.put("lm_head.weight", Dtype.BF16, embedding.shape(), bytes).write();
    assertRefused(edited, "BF16");
    edited.put("lm_head.weight", embedding.dtype(), Shape.of(0), new byte[0]).write();
    assertRefused(edited, "[0]");
  }

  @ParameterizedTest
  @EnumSource
  void layersForPredictionFollowTheUserWhateverTheirCount(Conversion.Prediction prediction)
      throws IOException {
    EditedCheckpoint edited = EditedCheckpoint.of(Fixtures.tinyDeepSeek(), folder.resolve("c"));
    edited.config(json -> json.put("num_nextn_predict_layers", 0));
    if (prediction == Conversion.Prediction.KEEP) {
      assertRestored(edited, prediction).close();
    } else {
      convert(edited, prediction).close();
    }
    String asked = refusalWithoutDecision(edited);
    assertTrue(asked.contains("--mtp"), asked);
    Inspection.of(edited.folder(), Set.of());
  }

  @Test
  void layersForPredictionMayShareEmbeddingAndHead() throws IOException {
    EditedCheckpoint edited = EditedCheckpoint.of(Fixtures.tinyDeepSeek(), folder.resolve("c"));
    edited
        .rename(n -> n.matches("model.layers.4.(embed_tokens|shared_head.head).weight") ? null : n)
        .write();
    Inspection.of(edited.folder(), Set.of());
    assertRestored(edited, Conversion.Prediction.KEEP).close();
    convertAs(edited, "q", Conversion.Prediction.DROP).close();
  }

  @Test
  void inspectAcceptsWhatCanOnlyBeConvertedWithoutPrediction() {
    EditedCheckpoint edited = EditedCheckpoint.of(Fixtures.tinyDeepSeek(), folder.resolve("c"));
    edited.rename(n -> n.equals("model.layers.4.eh_proj.weight") ? null : n).write();
    convert(edited, Conversion.Prediction.DROP).close();
    String text = Inspection.of(edited.folder(), Set.of()).text();
    assertTrue(text.contains("--mtp drop"), text);
  }

  @Test
  void aDecoderLayerThatIsNotCountedIsNotDroppedAsPrediction() {
    EditedCheckpoint edited = EditedCheckpoint.of(Fixtures.tinyDeepSeek(), folder.resolve("c"));
    edited.config(json -> json.put("num_hidden_layers", 3));
    String message =
        assertThrows(InvalidInputException.class, () -> convert(edited, Conversion.Prediction.DROP))
            .getMessage();
    assertTrue(String.valueOf(message).contains("layers from 3 on"), message);
  }

  @Test
  void whatIsLeftBehindIsNamedAndExportDoesNotClaimIt() throws IOException {
    EditedCheckpoint edited = EditedCheckpoint.of(MIXTRAL, folder.resolve("c"));
    edited.text("inference/model.py", "x").text(".git/config", "x");
    Files.createSymbolicLink(edited.folder().resolve("README.md"), Path.of("nowhere"));
    Files.createSymbolicLink(edited.folder().resolve("linked"), edited.folder());
    Files.createDirectories(edited.folder().resolve("empty"));
    try (var large =
        new RandomAccessFile(edited.folder().resolve("consolidated.safetensors").toFile(), "rw")) {
      large.setLength((64 << 20) + 1);
    }
    assertEquals(
        List.of(
            new LeftBehind(".git", "a hidden folder"),
            new LeftBehind("README.md", "a link to nothing"),
            new LeftBehind("consolidated.safetensors", "larger than 64 MiB"),
            new LeftBehind("empty", "an empty folder"),
            new LeftBehind("linked", "a link to a folder")),
        Checkpoint.open(edited.folder()).left());
    try (MoxiePackage pack = convert(edited, null)) {
      Exporter.Result result = Exporter.export(pack, folder.resolve("x"), 1, Progress.NONE);
      assertEquals(
          List.of(".git", "README.md", "consolidated.safetensors", "empty", "linked"),
          result.missing());
      assertTrue(result.asItWas());
    }
    assertTrue(Files.exists(folder.resolve("x/inference/model.py")));
  }

  private EditedCheckpoint overlaid() {
    EditedCheckpoint edited = EditedCheckpoint.of(MIXTRAL, folder.resolve("c"));
    byte[] other = edited.bytes(OUTPUT);
    other[0] ^= 1;
    return edited.overlay(Map.of(OUTPUT, other));
  }

  private static String digest(MoxiePackage pack) {
    return String.valueOf(pack.tensor("layers.0.attention.output.weight").sha256());
  }

  private MoxiePackage convert(
      EditedCheckpoint edited, Conversion.@Nullable Prediction prediction) {
    return convertAs(edited, "p", prediction);
  }

  private MoxiePackage convertAs(
      EditedCheckpoint edited, String name, Conversion.@Nullable Prediction prediction) {
    return EditedCheckpoint.convert(
        edited.folder(), folder.resolve(name), EditedCheckpoint.lossless(prediction));
  }

  /** Converts and exports; every file of the folder must come back as it was. */
  private MoxiePackage assertRestored(
      EditedCheckpoint edited, Conversion.@Nullable Prediction prediction) throws IOException {
    MoxiePackage pack = convert(edited, prediction);
    Exporter.Result result = Exporter.export(pack, folder.resolve("x"), 1, Progress.NONE);
    assertTrue(result.asItWas());
    assertEquals(List.of(), result.missing());
    assertEquals(FolderDigests.of(edited.folder()), FolderDigests.of(folder.resolve("x")));
    return pack;
  }

  private static void assertRefused(EditedCheckpoint edited, String culprit) {
    String message =
        assertThrows(
                InvalidInputException.class,
                () -> Planner.plan(Checkpoint.open(edited.folder()), Conversion.LOSSLESS))
            .getMessage();
    assertTrue(String.valueOf(message).contains(culprit), message);
  }

  private static String refusalWithoutDecision(EditedCheckpoint edited) {
    return String.valueOf(
        assertThrows(
                dev.moxie.format.error.UsageException.class,
                () -> Planner.plan(Checkpoint.open(edited.folder()), Conversion.LOSSLESS))
            .getMessage());
  }

  private static long[] numbers(String shape) {
    return shape.isEmpty()
        ? new long[0]
        : List.of(shape.split("x", -1)).stream().mapToLong(Long::parseLong).toArray();
  }
}

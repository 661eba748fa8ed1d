package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.export.Exporter;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class QuantisedConversionTest {
  private static final Path MIXTRAL = Fixtures.tinyMixtral();

  @TempDir Path folder;

  private static Conversion quantising(
      String encoding, Manifest.Matrices matrices, Manifest.Layout layout) {
    return new Conversion(
        Set.of(),
        Conversion.Prediction.KEEP,
        null,
        new Manifest.Quantisation(encoding, matrices, Quantiser.Method.NEAREST),
        layout);
  }

  private MoxiePackage convert(Path checkpoint, String encoding, Manifest.Matrices matrices) {
    return EditedCheckpoint.convert(
        checkpoint, folder.resolve("p"), quantising(encoding, matrices, Manifest.Layout.PLAIN));
  }

  private static Set<Role> rolesIn(MoxiePackage pack, String encoding) {
    return pack.rows().stream()
        .filter(row -> row.encoding().id().equals(encoding))
        .map(IndexRow::role)
        .collect(Collectors.toSet());
  }

  @Test
  void expertsAloneAreQuantisedUnlessAllIsAskedFor() {
    try (MoxiePackage pack = convert(MIXTRAL, "int4_block_32", Manifest.Matrices.EXPERTS)) {
      assertEquals(Set.of(Role.EXPERT_GATE_UP, Role.EXPERT_DOWN), rolesIn(pack, "int4_block_32"));
      assertEquals(
          Objects.requireNonNull(pack.manifest().provenance().quantisation()).encoding(),
          "int4_block_32");
    }
  }

  @Test
  void ofAllMatricesRoutersAreLeft() {
    try (MoxiePackage pack = convert(MIXTRAL, "int8_channel", Manifest.Matrices.ALL)) {
      assertEquals(
          Set.of(
              Role.EMBEDDING,
              Role.HEAD,
              Role.ATTENTION_QUERY,
              Role.ATTENTION_KEY,
              Role.ATTENTION_VALUE,
              Role.ATTENTION_OUTPUT,
              Role.EXPERT_GATE_UP,
              Role.EXPERT_DOWN),
          rolesIn(pack, "int8_channel"));
      for (IndexRow row : pack.rows()) {
        if (row.isLeaf() && row.encoding().equals(Encoding.PLAIN) && row.role() != Role.SCALE) {
          assertTrue(
              row.role() == Role.PADDING || IndexRow.COPY.equals(row.transform()), row.describe());
        }
      }
      pack.requireSources();
    }
  }

  @Test
  void fp8IsDecodedFirstAndTheIndexSaysSo() {
    try (MoxiePackage pack =
        convert(Fixtures.tinyDeepSeek(), "int8_channel", Manifest.Matrices.EXPERTS)) {
      assertEquals(
          Set.of("dequantise_fp8_block_128x128+quantise_int8_channel"),
          pack.rows().stream()
              .filter(row -> row.isLeaf() && row.encoding().id().equals("int8_channel"))
              .map(IndexRow::transform)
              .collect(Collectors.toSet()));
      assertTrue(pack.manifest().encodings().contains("fp8_block_128x128"), "attention stays");
      pack.requireSources();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"int8_channel", "int4_block_32", "mxfp4"})
  void theBytesDependOnNoThreadAndNoLayout(String encoding) throws IOException {
    Conversion conversion =
        quantising(encoding, Manifest.Matrices.ALL, new Manifest.Layout(3, 100_000L));
    var producer = new Manifest.Producer("test", "0");
    PackageContents spread = Planner.plan(Checkpoint.open(MIXTRAL), conversion).contents();
    Executor.execute(spread, folder.resolve("a"), producer, 3, false, Progress.NONE);
    try (MoxiePackage pack = convert(MIXTRAL, encoding, Manifest.Matrices.ALL)) {
      Executor.execute(
          Resharding.plan(pack, conversion.layout()),
          folder.resolve("b"),
          producer,
          1,
          false,
          Progress.NONE);
    }
    assertEquals(FolderDigests.of(folder.resolve("a")), FolderDigests.of(folder.resolve("b")));
  }

  @Test
  void rowsThatAreNoMultipleOfTheBlockStay() {
    var checkpoint = Fixtures.root().resolve("variants/f32-three-experts");
    var e =
        assertThrows(
            UsageException.class,
            () -> convert(checkpoint, "int4_block_256", Manifest.Matrices.ALL));
    assertTrue(e.getMessage().contains("matrices that can be quantised"), e.getMessage());
  }

  @Test
  void whatIsNoFiniteNumberIsRefusedInItsPlace() {
    EditedCheckpoint edited = EditedCheckpoint.of(MIXTRAL, folder.resolve("c"));
    String name = "model.layers.2.block_sparse_moe.experts.5.w2.weight";
    byte[] bytes = edited.bytes(name);
    Shape shape = edited.tensor(name).shape();
    // The upper byte of a bfloat16 infinity, in row 1, column 3.
    int at = Math.toIntExact(shape.dim(1) + 3) * Short.BYTES;
    bytes[at] = (byte) 0x80;
    bytes[at + 1] = 0x7f;
    edited.put(name, Dtype.BF16, shape, bytes).write();
    var e =
        assertThrows(
            UnsupportedException.class,
            () -> convert(edited.folder(), "int4_block_32", Manifest.Matrices.EXPERTS));
    for (String word : List.of(name, "row 1", "column 3", "Infinity", "--quantize")) {
      assertTrue(e.getMessage().contains(word), e.getMessage());
    }
  }

  @Test
  void itsExportIsRefusedInOneSentence() {
    try (MoxiePackage pack = convert(MIXTRAL, "mxfp4", Manifest.Matrices.EXPERTS)) {
      var e =
          assertThrows(
              UnsupportedException.class,
              () -> Exporter.export(pack, folder.resolve("x"), 1, Progress.NONE));
      assertTrue(e.getMessage().contains("without --quantize"), e.getMessage());
    }
  }

  @Test
  void aPlanCountsEachSourceTensorOnce() {
    ConversionPlan plan =
        Planner.plan(
            Checkpoint.open(MIXTRAL),
            quantising("int8_channel", Manifest.Matrices.ALL, Manifest.Layout.PLAIN));
    assertEquals(plan.checkpoint().tensorCount(), plan.sourceTensors());
  }
}

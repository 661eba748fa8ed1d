package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.plan.Progress;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pickle.PickleHeader;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The vectors of SPEC.md, section 9, as far as it takes more than the format to judge them. */
@Exhaustive
class ConformanceVectorsTest {
  private static final Path VECTORS = Fixtures.root().resolveSibling("format-spec/conformance");

  @TempDir Path folder;

  static Stream<Path> valid() throws IOException {
    return Files.list(VECTORS.resolve("packages/valid")).sorted();
  }

  @ParameterizedTest
  @MethodSource("valid")
  void aValidPackageVerifiesAndItsCheckpointComesBack(Path valid) throws IOException {
    assertEquals(Verdict.PASS, verify(valid).verdict());
    try (MoxiePackage pack = MoxiePackage.open(valid)) {
      boolean decoded =
          pack.rows().stream().anyMatch(row -> "dequantise_mxfp4".equals(row.transform()));
      if (decoded || pack.manifest().provenance().quantisation() != null) {
        // Two numbers to an element of the source, or numbers with scales: it cannot hold them.
        assertThrows(
            UnsupportedException.class,
            () -> Exporter.export(pack, folder.resolve("e"), 1, Progress.NONE));
        return;
      }
      Exporter.Result result = Exporter.export(pack, folder.resolve("e"), 1, Progress.NONE);
      Manifest.SourceShard shard = pack.manifest().provenance().shards().getFirst();
      Manifest.Provenance provenance = pack.manifest().provenance();
      boolean lossless = provenance.cast() == null && provenance.adapter() == null;
      assertEquals(lossless, result.asItWas());
      if (lossless) {
        byte[] header = pack.sourceBytes(shard.file() + ".header").orElseThrow();
        Path exported = folder.resolve("e").resolve(shard.file());
        assertEquals(shard.bytes(), Files.size(exported));
        assertArrayEquals(header, withoutTensors(exported, header.length));
      }
    }
  }

  /** The bytes of a file that are no tensor's: the first, or of a pickle those around arrays. */
  private static byte[] withoutTensors(Path file, int count) throws IOException {
    byte[] all = Files.readAllBytes(file);
    return PickleHeader.isStart(all) ? PickleHeader.read(file).kept() : Arrays.copyOf(all, count);
  }

  static Stream<Path> invalid() throws IOException {
    return Files.list(VECTORS.resolve("packages/invalid")).sorted();
  }

  @ParameterizedTest
  @MethodSource("invalid")
  void anInvalidPackageNeverVerifies(Path invalid) {
    try {
      assertEquals(Verdict.FAIL, verify(invalid).verdict());
    } catch (InvalidInputException e) {
      assertEquals(1, String.valueOf(e.getMessage()).lines().count(), e.getMessage());
    }
  }

  private static Report verify(Path pack) {
    return Verifier.verify(pack, null, List.of(), Execution.of(Device.CPU));
  }

  static List<String> numbers() {
    return NumericVectors.names();
  }

  /** The oracle made them; runtime and the usual comparison of a trace find them right. */
  @ParameterizedTest
  @MethodSource("numbers")
  void everyExecutionReproducesTheNumbers(String name) {
    Path vector = VECTORS.resolve("numbers").resolve(name);
    Report report =
        Verifier.verify(
            vector.resolve("package"),
            null,
            List.of(vector.resolve("expected.safetensors")),
            Execution.of(Device.CPU));
    assertEquals(Verdict.PASS, report.verdict());
    Report.Reference reference = report.references().getFirst();
    assertEquals(executions(vector.resolve("package")), reference.executions().size());
    assertEquals(reference.routing().decisions(), reference.routing().match());
    assertTrue(reference.logits().maxRel() < 1e-4, "the logits tell: " + reference.logits());
  }

  @Test
  void theCommittedNumbersAreThoseOfTheOracle() throws IOException {
    NumericVectors.write(folder.resolve("n"), folder.resolve("c"));
    for (String name : NumericVectors.names()) {
      Path made = folder.resolve("n").resolve(name);
      Path committed = VECTORS.resolve("numbers").resolve(name);
      assertEquals(
          FolderDigests.of(made.resolve("package")),
          FolderDigests.of(committed.resolve("package")));
      assertAlike(made.resolve("expected.safetensors"), committed.resolve("expected.safetensors"));
    }
  }

  /** Exponentials of two machines may differ in their last bit, and so may what is rounded. */
  private static void assertAlike(Path made, Path committed) {
    try (SafetensorsFile a = SafetensorsFile.open(made);
        SafetensorsFile b = SafetensorsFile.open(committed)) {
      assertEquals(a.header(), b.header());
      for (TensorInfo info : a.header().tensors()) {
        if (info.dtype() != Dtype.F32) {
          assertEquals(-1, a.data(info).mismatch(b.data(info)), info.name());
          continue;
        }
        float[] x = a.data(info).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
        float[] y = b.data(info).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
        for (int i = 0; i < x.length; i++) {
          assertEquals(x[i], y[i], Math.ulp(x[i]), info.name());
        }
      }
    }
  }

  private static long executions(Path folder) {
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      return Execution.of(Device.CPU).stream()
          .filter(execution -> execution.refusal(pack, Device.CPU).isEmpty())
          .count();
    }
  }
}

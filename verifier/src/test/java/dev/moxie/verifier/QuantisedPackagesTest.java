package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.equivalence.EquivalenceCheck;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What quantising took is allowed for, to the step of each block, and nothing else is. */
@Exhaustive
class QuantisedPackagesTest {
  private static final Path MIXTRAL = Fixtures.tinyMixtral();
  private static final String STACK = "layers.1.experts.down.weight";

  @TempDir Path folder;

  static Stream<Arguments> right() {
    Path fp8 = Fixtures.tinyDeepSeek();
    return Stream.of(
        Arguments.of(MIXTRAL, "int8_channel", Quantiser.Method.SEARCH),
        Arguments.of(MIXTRAL, "int4_block_16", Quantiser.Method.NEAREST),
        Arguments.of(MIXTRAL, "mxfp4", Quantiser.Method.SEARCH),
        Arguments.of(fp8, "int8_channel", Quantiser.Method.NEAREST),
        Arguments.of(fp8, "int4_block_64", Quantiser.Method.SEARCH),
        Arguments.of(fp8, "mxfp4", Quantiser.Method.NEAREST));
  }

  @ParameterizedTest
  @MethodSource("right")
  void eachNumberIsTheNearestForItsBlock(
      Path checkpoint, String encoding, Quantiser.Method method) {
    Report.Equivalence report =
        equivalence(
            checkpoint,
            Packages.quantise(checkpoint, folder.resolve("p"), encoding, method, p -> p));
    assertEquals(Verdict.PASS, report.verdict(), report.findings().toString());
    assertTrue(report.withinBound() > report.identical());
  }

  private static Report.Equivalence equivalence(Path checkpoint, Path pack) {
    try (MoxiePackage open = MoxiePackage.open(pack)) {
      return EquivalenceCheck.run(open, checkpoint);
    }
  }

  @ParameterizedTest
  @EnumSource
  void oneNibbleIsFoundAndNamed(Quantiser.Method method) throws IOException {
    Path pack = int4(method);
    // Row 2, columns 6 and 7, of which the first is in the low bits.
    change(pack, row(pack, 3), (bytes, columns) -> bytes[2 * columns / 2 + 3] ^= 4);
    assertFound(pack, STACK + " (expert 3, down)", "1 other numbers", "row 2, column 6");
  }

  @Test
  void nibblesInTheOtherOrderAreFound() throws IOException {
    Path pack = int4(Quantiser.Method.NEAREST);
    change(
        pack,
        row(pack, 0),
        (bytes, columns) -> {
          for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) ((bytes[i] & 0xf) << 4 | (bytes[i] & 0xf0) >> 4);
          }
        });
    assertFound(pack, STACK + " (expert 0, down)", "other numbers", "row 0, column");
  }

  @Test
  void exchangedBlocksAreFound() throws IOException {
    Path pack = int4(Quantiser.Method.SEARCH);
    change(
        pack,
        row(pack, 1),
        (bytes, columns) -> {
          for (int i = 0; i < 8; i++) {
            byte first = bytes[i];
            bytes[i] = bytes[8 + i];
            bytes[8 + i] = first;
          }
        });
    assertFound(pack, STACK + " (expert 1, down)", "other numbers", "row 0, column");
  }

  @ParameterizedTest
  @EnumSource
  void oneScaleIsFoundAndNamed(Quantiser.Method method) throws IOException {
    Path pack = int4(method);
    try (MoxiePackage open = MoxiePackage.open(pack)) {
      IndexRow scales = open.scales(row(pack, 2)).orElseThrow();
      // An eighth more, or less, in the second block.
      change(pack, scales, (bytes, columns) -> bytes[Float.BYTES + 2] ^= 0x10);
    }
    if (method == Quantiser.Method.NEAREST) {
      // Among scales that are searched this one might be as good, but for the numbers beside it.
      assertFound(pack, "layers.1.experts.down.scale (expert 2, down)", "1 other scales", "row 0");
    }
    assertFound(pack, STACK + " (expert 2, down)", "other numbers", "row 0, column");
  }

  @Test
  void anotherExpertsMatrixIsFound() {
    Path pack =
        Packages.quantise(
            MIXTRAL,
            folder.resolve("p"),
            "int8_channel",
            Quantiser.Method.NEAREST,
            WrongPlans.renamed(
                n -> n.contains("layers.1.") ? WrongPlans.swap(n, "experts.2.", "experts.3.") : n));
    assertEquals(Verdict.FAIL, equivalence(MIXTRAL, pack).verdict());
  }

  /** Every part of the reference is compared, in both executions, and some of it tells. */
  @ParameterizedTest
  @MethodSource("references")
  void theReferenceIsReachedWithinWhatQuantisingTook(Path checkpoint, String encoding) {
    Path pack =
        Packages.quantise(
            checkpoint, folder.resolve("p"), encoding, Quantiser.Method.NEAREST, p -> p);
    Report.Reference report = reference(checkpoint, pack, Execution.of(Device.CPU));
    assertEquals(Verdict.PASS, report.verdict(), report.diagnosis().toString());
    assertEquals(0, report.routing().mismatch());
    assertTrue(report.tolerance().contains("quantised to " + encoding), report.tolerance());
    assertTrue(report.logits().maxRel() > 1e-5, "quantising shows");
    assertTrue(
        report.layers().stream()
            .flatMap(layer -> layer.steps().values().stream())
            .anyMatch(step -> step.telling()));
  }

  static Stream<Arguments> references() {
    return Stream.of(
        Arguments.of(MIXTRAL, "int8_channel"),
        Arguments.of(MIXTRAL, "int4_block_32"),
        Arguments.of(MIXTRAL, "mxfp4"),
        Arguments.of(Fixtures.tinyDeepSeek(), "int4_block_32"));
  }

  @Test
  void swappedExpertsAreNotTakenForQuantising() {
    Path pack =
        Packages.quantise(
            MIXTRAL,
            folder.resolve("p"),
            "int8_channel",
            Quantiser.Method.NEAREST,
            WrongPlans.renamed(
                n -> n.contains("layers.1.") ? WrongPlans.swap(n, "experts.2.", "experts.3.") : n));
    Report.Reference report = reference(MIXTRAL, pack, EnumSet.of(Execution.PLAIN));
    assertEquals(Verdict.FAIL, report.verdict());
    assertFalse(report.diagnosis().isEmpty());
  }

  private static Report.Reference reference(Path checkpoint, Path pack, Set<Execution> executions) {
    return Verifier.verify(pack, null, List.of(Fixtures.traces(checkpoint).getFirst()), executions)
        .references()
        .getFirst();
  }

  private Path int4(Quantiser.Method method) {
    return Packages.quantise(MIXTRAL, folder.resolve("p"), "int4_block_16", method, p -> p);
  }

  private static IndexRow row(Path pack, int expert) {
    try (MoxiePackage open = MoxiePackage.open(pack)) {
      return open.slice(STACK, expert, Projection.DOWN);
    }
  }

  private interface Change {
    void apply(byte[] bytes, int columns);
  }

  /** Changes stored bytes; what digests say of it is integrity's business. */
  private static void change(Path pack, IndexRow row, Change change) throws IOException {
    Path shard = pack.resolve(row.shard());
    byte[] file = Files.readAllBytes(shard);
    int at = Math.toIntExact(row.offset());
    byte[] bytes = java.util.Arrays.copyOfRange(file, at, at + Math.toIntExact(row.bytes()));
    change.apply(bytes, Math.toIntExact(MoxiePackage.matrix(row).dim(1)));
    System.arraycopy(bytes, 0, file, at, bytes.length);
    Files.write(shard, file);
  }

  private static void assertFound(Path pack, String tensor, String... words) {
    Report.Equivalence report = equivalence(MIXTRAL, pack);
    assertEquals(Verdict.FAIL, report.verdict());
    assertTrue(
        report.findings().stream()
            .filter(finding -> tensor.equals(finding.tensor()))
            .anyMatch(
                finding -> Stream.of(words).allMatch(word -> finding.toString().contains(word))),
        report.findings().toString());
  }
}

package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.TooNewException;
import dev.moxie.format.error.TooOldException;
import dev.moxie.format.error.UnfinishedException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;

/** The committed vectors, read the way another implementation would. */
class ConformanceTest {
  private static final Path VECTORS = Path.of("conformance/packages");

  @TempDir Path folder;

  @Test
  void theCommittedVectorsAreWhatTheGeneratorMakes() throws IOException {
    Map<String, ConformanceVectors.Case> cases = ConformanceVectors.write(folder);
    Files.writeString(folder.resolve("cases.json"), ConformanceVectors.describe(cases));
    assertEquals(PackageTest.digests(folder), PackageTest.digests(VECTORS));
  }

  @ParameterizedTest
  @MethodSource("validPackages")
  void aValidPackageOpensAndItsDigestsHold(Path valid) {
    try (MoxiePackage pack = MoxiePackage.open(valid)) {
      assertEquals(List.of(), wrongDigests(pack));
    }
  }

  static Stream<Path> validPackages() throws IOException {
    return Files.list(VECTORS.resolve("valid")).sorted();
  }

  static Stream<Arguments> invalidPackages() {
    JsonNode cases = StrictJson.readObject(VECTORS.resolve("cases.json"));
    return cases.properties().stream()
        .map(
            entry ->
                Arguments.of(
                    entry.getKey(),
                    entry.getValue().get("error").stringValue(),
                    entry.getValue().get("at").stringValue()));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("invalidPackages")
  void anInvalidPackageIsRefusedForWhatItIs(String name, String error, String at) {
    Path invalid = VECTORS.resolve("invalid").resolve(name);
    Class<? extends InvalidInputException> type =
        switch (error) {
          case "corrupt" -> CorruptException.class;
          case "too_new" -> TooNewException.class;
          case "too_old" -> TooOldException.class;
          case "unfinished" -> UnfinishedException.class;
          case "unsupported" -> UnsupportedException.class;
          default -> throw new AssertionError(error);
        };
    switch (at) {
      case "open" -> assertThrows(type, () -> MoxiePackage.open(invalid));
      case "read" -> {
        try (MoxiePackage pack = MoxiePackage.open(invalid)) {
          assertThrows(type, () -> wrongDigests(pack));
        }
      }
      case "digest" -> {
        try (MoxiePackage pack = MoxiePackage.open(invalid)) {
          assertEquals(1, wrongDigests(pack).size());
        }
      }
      default -> throw new AssertionError(at);
    }
    assertTrue(Files.isDirectory(invalid));
  }

  private static List<IndexRow> wrongDigests(MoxiePackage pack) {
    return pack.rows().stream()
        .filter(IndexRow::isLeaf)
        .filter(row -> !Digests.of(pack.bytes(row)).sha256().equals(row.sha256()))
        .toList();
  }
}

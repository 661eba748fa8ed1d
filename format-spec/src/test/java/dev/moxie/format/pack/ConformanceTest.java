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
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The committed vectors, read the way another implementation would. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ConformanceTest {
  private static final Path VECTORS = Path.of("conformance/packages");
  private static final Pattern RULE = Pattern.compile("\\*\\*([A-Z]\\d{1,2})\\*\\*");
  private static final Pattern MENTION = Pattern.compile("(?<![.\\w])[A-Z]\\d{1,2}\\b");

  private Path made;
  private ConformanceVectors vectors;

  @BeforeAll
  void write(@TempDir Path folder) throws IOException {
    made = folder;
    vectors = ConformanceVectors.write(folder);
  }

  @Test
  void theCommittedVectorsAreWhatTheGeneratorMakes() throws IOException {
    assertEquals(contents(made), contents(VECTORS));
  }

  /** Digests of files, and where links lead. */
  private static Map<String, String> contents(Path root) throws IOException {
    Map<String, String> contents = new TreeMap<>(PackageTest.digests(root));
    try (Stream<Path> links = Files.walk(root).filter(Files::isSymbolicLink)) {
      for (Path link : links.toList()) {
        contents.put(root.relativize(link).toString(), Files.readSymbolicLink(link).toString());
      }
    }
    return contents;
  }

  @Test
  void everyRuleOfTheTextHasAPackageAndEveryPackageARule() throws IOException {
    Set<String> used = new TreeSet<>();
    vectors.invalid.values().forEach(vector -> used.add(vector.rule()));
    vectors.valid.values().stream()
        .map(ConformanceVectors.Valid::rule)
        .filter(java.util.Objects::nonNull)
        .forEach(used::add);
    List<String> stated = rulesOfTheText();
    // The first is the example that explains what an id is.
    assertEquals(used, new TreeSet<>(stated));
    assertEquals(stated.size() - 1, used.size(), "no id stands for two rules");
  }

  @Test
  void theReaderMentionsNoRuleThatTheTextDoesNotHave() throws IOException {
    Set<String> rules = new TreeSet<>(rulesOfTheText());
    Set<String> dtypes = Stream.of(Dtype.values()).map(Dtype::name).collect(Collectors.toSet());
    try (Stream<Path> sources = Files.list(Path.of("src/main/java/dev/moxie/format/pack"))) {
      for (Path source : sources.toList()) {
        MENTION
            .matcher(Files.readString(source))
            .results()
            .map(MatchResult::group)
            .filter(id -> !dtypes.contains(id))
            .forEach(id -> assertTrue(rules.contains(id), source + ": " + id));
      }
    }
  }

  private static List<String> rulesOfTheText() throws IOException {
    return RULE.matcher(Files.readString(Path.of("SPEC.md")))
        .results()
        .map(match -> match.group(1))
        .toList();
  }

  List<String> valid() {
    return List.copyOf(vectors.valid.keySet());
  }

  @ParameterizedTest
  @MethodSource("valid")
  void aValidPackageOpensAndItsDigestsHold(String name) {
    try (MoxiePackage pack = MoxiePackage.open(VECTORS.resolve("valid").resolve(name))) {
      read(pack);
      assertEquals(List.of(), wrongDigests(pack));
    }
  }

  List<String> invalid() {
    return List.copyOf(vectors.invalid.keySet());
  }

  /** For the rule that it breaks, and not for another: the sentence speaks of it. */
  @ParameterizedTest
  @MethodSource("invalid")
  void anInvalidPackageIsRefusedForWhatItIs(String name) {
    ConformanceVectors.Invalid vector = vectors.invalid.get(name);
    Path invalid = VECTORS.resolve("invalid").resolve(name);
    Class<? extends InvalidInputException> type =
        switch (vector.answer()) {
          case "corrupt" -> CorruptException.class;
          case "too_new" -> TooNewException.class;
          case "too_old" -> TooOldException.class;
          case "unfinished" -> UnfinishedException.class;
          case "unsupported" -> UnsupportedException.class;
          default -> throw new AssertionError(vector.answer());
        };
    if (vector.at().equals("open")) {
      requireSays(vector, assertThrows(type, () -> MoxiePackage.open(invalid)).getMessage());
      return;
    }
    try (MoxiePackage pack = MoxiePackage.open(invalid)) {
      if (vector.at().equals("read")) {
        requireSays(vector, assertThrows(type, () -> read(pack)).getMessage());
      } else {
        read(pack);
        assertEquals(List.of(vector.says()), wrongDigests(pack));
      }
    }
  }

  private static void requireSays(ConformanceVectors.Invalid vector, String message) {
    assertTrue(message.contains(vector.says()), message);
    assertEquals(1, message.lines().count(), message);
  }

  /** All that can be known without digesting weights. */
  private static void read(MoxiePackage pack) {
    pack.manifest().shards().forEach(shard -> pack.shard(shard.file()));
    pack.manifest().files().stream()
        .map(Manifest.OtherFile::path)
        .filter(path -> path.startsWith(PackagePaths.SOURCE))
        .forEach(path -> pack.sourceBytes(path.substring(PackagePaths.SOURCE.length())));
    pack.requireSources();
  }

  private static List<String> wrongDigests(MoxiePackage pack) {
    List<String> wrong = new ArrayList<>();
    for (IndexRow row : pack.rows()) {
      if (row.isLeaf()) {
        Digests.Result found = Digests.of(pack.bytes(row));
        if (!found.sha256().equals(row.sha256())) {
          wrong.add("SHA-256");
        }
        if (!Long.valueOf(found.crc32c()).equals(row.crc32c())) {
          wrong.add("CRC-32C");
        }
      }
    }
    return wrong;
  }
}

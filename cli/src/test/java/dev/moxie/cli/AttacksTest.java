package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.node.ObjectNode;

/** The hostile inputs of format-spec/attacks, each met by the command that reads it. */
class AttacksTest {
  private static final Path ATTACKS = Fixtures.root().resolveSibling("format-spec/attacks");
  private static final ObjectNode TABLE = StrictJson.readObject(ATTACKS.resolve("attacks.json"));

  @TempDir static Path folder;
  private static Map<String, HostileInput> kinds = new TreeMap<>();

  @BeforeAll
  static void place() throws IOException {
    kinds =
        HostileInputs.in(folder.resolve("inputs")).stream()
            .collect(Collectors.toMap(HostileInput::name, Function.identity()));
  }

  static Stream<Arguments> attacks() {
    return TABLE.properties().stream()
        .map(
            attack ->
                Arguments.of(
                    attack.getKey(),
                    attack.getValue().path("status").intValue(),
                    attack.getValue().path("says").stringValue(),
                    attack.getValue().path("lie").stringValue()));
  }

  @ParameterizedTest(name = "{0}: {3}")
  @MethodSource("attacks")
  @Timeout(20)
  void aLieIsRefusedForWhatItIs(String name, int status, String says, String lie)
      throws IOException {
    HostileInput input = kinds.get(name.substring(0, name.indexOf('/')));
    input.place(Files.readAllBytes(ATTACKS.resolve(name)));
    Map<String, String> before = FolderDigests.of(input.folder());
    CommandLineTest.Outcome outcome = CommandLineTest.moxie(input.command().toArray(String[]::new));
    assertEquals(status, outcome.status(), outcome.err());
    assertTrue(outcome.err().contains(says), says + " in " + outcome.err());
    assertTrue(outcome.err().chars().noneMatch(c -> c < ' ' && c != '\n'), outcome.err());
    assertEquals(before, FolderDigests.of(input.folder()));
  }

  /** What shows that the lie, not something about the other files, is what is refused. */
  @Test
  void withoutALieEveryKindIsAccepted(@TempDir Path other) throws IOException {
    for (HostileInput input : HostileInputs.in(other.resolve("inputs"))) {
      input.place(input.originals().getFirst());
      CommandLineTest.Outcome outcome =
          CommandLineTest.moxie(input.command().toArray(String[]::new));
      assertEquals(0, outcome.status(), input.name() + ": " + outcome.err());
    }
  }

  @Test
  void everyFileOfTheCorpusIsInTheTable() throws IOException {
    try (Stream<Path> files = Files.walk(ATTACKS, 2)) {
      var found =
          files
              .filter(file -> Files.isRegularFile(file) && !file.getParent().equals(ATTACKS))
              .map(file -> ATTACKS.relativize(file).toString())
              .collect(Collectors.toCollection(TreeSet::new));
      assertEquals(new TreeSet<>(TABLE.propertyNames()), found);
    }
  }
}

package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What lies where a command would put something of its own beside its target, and is not its own:
 * the command refuses it, waits for nothing, and touches nothing.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class HostileGroundTest {
  private static final Path CHECKPOINT = Fixtures.root().resolve("variants/f16-tied");

  @TempDir Path folder;
  private Path precious = Path.of("");

  @BeforeEach
  void convert() throws IOException {
    assertEquals(0, moxie("convert", CHECKPOINT.toString(), "q").status());
    precious = Files.createDirectory(folder.resolve("precious"));
    Files.writeString(precious.resolve("file"), "the only copy");
  }

  /** Runs a command whose last words may be names in the folder. */
  private CommandLineTest.Outcome moxie(String... words) {
    List<String> names = List.of("p", "q", "r.arrow", "r.st", "v.html", "v.md", "b.json", "g.onnx");
    return CommandLineTest.moxie(
        List.of(words).stream()
            .map(word -> names.contains(word) ? folder.resolve(word).toString() : word)
            .toArray(String[]::new));
  }

  /** What may be in the way. */
  enum Trap {
    LINK_TO_A_FILE,
    LINK_TO_A_FOLDER,
    LINK_THAT_LEADS_NOWHERE,
    SECOND_NAME_OF_A_FILE,
    FILE,
    FOLDER,
    PIPE
  }

  private void set(Trap trap, Path path) throws IOException, InterruptedException {
    switch (trap) {
      case LINK_TO_A_FILE -> Files.createSymbolicLink(path, precious.resolve("file"));
      case LINK_TO_A_FOLDER -> Files.createSymbolicLink(path, precious);
      case LINK_THAT_LEADS_NOWHERE -> Files.createSymbolicLink(path, folder.resolve("nowhere"));
      case SECOND_NAME_OF_A_FILE -> Files.createLink(path, precious.resolve("file"));
      case FILE -> Files.writeString(path, "somebody's work");
      case FOLDER -> {
        Files.createDirectory(path);
        Files.writeString(path.resolve("file"), "somebody's work");
      }
      case PIPE -> assertEquals(0, new ProcessBuilder("mkfifo", path.toString()).start().waitFor());
    }
  }

  @Exhaustive
  @ParameterizedTest
  @CsvSource({
    "'convert CHECKPOINT p', .p.moxie-partial .p.moxie-journal .p.moxie-lock .p.moxie-old",
    "'convert CHECKPOINT q --force', .q.moxie-partial .q.moxie-journal .q.moxie-lock .q.moxie-old",
    "'reshard q p', .p.moxie-partial .p.moxie-journal .p.moxie-lock .p.moxie-old",
    "'export q p', .p.moxie-partial .p.moxie-journal .p.moxie-lock .p.moxie-old",
    "'routing q --ids 1 --arrow r.arrow', .r.arrow.moxie-partial r.arrow",
    "'routing q --ids 1 --replay r.st', .r.st.moxie-partial .r.st.routed_experts.moxie-partial"
        + " r.st",
    "'verify q --html v.html', .v.html.moxie-partial v.html",
    "'verify q --markdown v.md', .v.md.moxie-partial v.md",
    "'baseline record q b.json --ids 1', .b.json.moxie-partial b.json",
    "'inspect q --onnx g.onnx', .g.onnx.moxie-partial g.onnx"
  })
  void whatIsInTheWayIsRefusedAndNotTouched(String command, String names) throws Exception {
    for (String name : names.split(" ")) {
      for (Trap trap : Trap.values()) {
        Path path = folder.resolve(name);
        set(trap, path);
        List<String> before = everything();
        CommandLineTest.Outcome outcome =
            moxie(command.replace("CHECKPOINT", CHECKPOINT.toString()).split(" "));
        String what = command + " with " + trap + " at " + name + ": ";
        assertEquals(2, outcome.status(), what + outcome.out() + outcome.err());
        assertTrue(outcome.err().matches("moxie: [^\\n]*[.]\\R"), what + outcome.err());
        assertTrue(outcome.err().contains(name) || !name.startsWith("."), what + outcome.err());
        assertEquals(before, everything(), what);
        remove(path);
      }
    }
  }

  private void remove(Path path) throws IOException {
    if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
      Files.delete(path.resolve("file"));
    }
    Files.delete(path);
  }

  /** Every path below the folder, with the content of small files. */
  private List<String> everything() throws IOException {
    try (var all = Files.walk(folder)) {
      return all.sorted().map(HostileGroundTest::describe).toList();
    }
  }

  private static String describe(Path path) {
    try {
      if (Files.isSymbolicLink(path)) {
        return path + " -> " + Files.readSymbolicLink(path);
      }
      return Files.isRegularFile(path)
          ? path
              + ": "
              + new String(Files.readAllBytes(path), StandardCharsets.ISO_8859_1).hashCode()
          : path + (Files.isDirectory(path) ? "/" : " (other)");
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aGraphReplacesAGraphAndNothingElse() throws IOException {
    assertEquals(0, moxie("inspect", "q", "--onnx", "g.onnx").status());
    byte[] graph = Files.readAllBytes(folder.resolve("g.onnx"));
    assertEquals(0, moxie("inspect", "q", "--onnx", "g.onnx").status());
    Files.write(folder.resolve("g.onnx"), new byte[] {graph[0], graph[1], 7});
    CommandLineTest.Outcome outcome = moxie("inspect", "q", "--onnx", "g.onnx");
    assertEquals(2, outcome.status(), outcome.err());
    assertEquals("", outcome.out());
    assertEquals(3, Files.size(folder.resolve("g.onnx")));
  }
}

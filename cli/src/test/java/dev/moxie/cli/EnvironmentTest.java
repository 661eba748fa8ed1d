package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Processes of their own, in places where something is missing that a JVM cannot do without. */
@Exhaustive
@EnabledOnOs(OS.LINUX)
@Execution(ExecutionMode.CONCURRENT)
class EnvironmentTest {
  private static final String SOURCE = Fixtures.randomMixtrals().get(2).toString();

  private static final String OPTIONS = String.join(" ", Jvm.OPTIONS);

  @TempDir static Path folder;

  @BeforeAll
  static void convert() throws Exception {
    assertEquals(0, shell(Map.of(), "moxie convert \"$SOURCE\" p").status());
  }

  /** A line of a shell, in which {@code moxie} stands for the command. */
  private static CommandLineTest.Outcome shell(Map<String, String> environment, String line)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of("bash", "-c"));
    command.add(
        "moxie() { \"$JAVA\" $OPTIONS -cp \"$CLASSES\" dev.moxie.cli.Main \"$@\"; }; " + line);
    Path out = Files.createTempFile(folder, "out", "");
    Path err = Files.createTempFile(folder, "err", "");
    var builder =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectOutput(out.toFile())
            .redirectError(err.toFile());
    builder.environment().put("JAVA", Jvm.java());
    builder.environment().put("CLASSES", System.getProperty("java.class.path"));
    builder.environment().put("OPTIONS", OPTIONS);
    builder.environment().put("SOURCE", SOURCE);
    builder.environment().putAll(environment);
    Process process = builder.start();
    assertTrue(process.waitFor(2, TimeUnit.MINUTES), line);
    return new CommandLineTest.Outcome(
        process.exitValue(), Files.readString(out), Files.readString(err));
  }

  private void assertSays(int status, String words, Map<String, String> environment, String line)
      throws IOException, InterruptedException {
    CommandLineTest.Outcome outcome = shell(environment, line);
    String sentence =
        outcome.err().lines().filter(one -> one.startsWith("moxie: ")).findFirst().orElse("");
    assertEquals(status, outcome.status(), outcome.err());
    assertTrue(sentence.contains(words), outcome.err());
    assertFalse(outcome.err().contains("\tat "), outcome.err());
    assertFalse(sentence.matches(".*\\b(java|ai|dev)\\.(?!io\\.tmpdir)\\w.*"), sentence);
  }

  @Test
  void aJvmWithoutTheModuleOfVectorsIsToldOfIt() throws Exception {
    String options = "--sun-misc-unsafe-memory-access=allow";
    for (String verb : List.of("run p --prompt-ids 1,2", "routing p --ids 1,2")) {
      assertSays(
          4, "--add-modules=jdk.incubator.vector", Map.of("OPTIONS", options), "moxie " + verb);
    }
    assertEquals(0, shell(Map.of("OPTIONS", options), "moxie inspect p").status());
  }

  @Test
  void aTemporaryFolderThatIsMissingIsNamedWithItsRemedy() throws Exception {
    String options = OPTIONS + " -Djava.io.tmpdir=/none/tmp";
    String plain = "moxie run p --prompt-ids 1,2";
    String run = plain + " --execution fused";
    assertSays(4, "/none/tmp", Map.of("OPTIONS", options), run);
    assertSays(4, "-Djava.io.tmpdir=", Map.of("OPTIONS", options), run);
    for (String line : List.of("moxie verify p", plain)) {
      assertEquals(0, shell(Map.of("OPTIONS", options), line).status(), line);
    }
  }

  @Test
  void aTemporaryFolderThatCannotHoldAnythingIsNamed() throws Exception {
    String options = OPTIONS + " -Djava.io.tmpdir=/proc/self";
    assertSays(
        4,
        "/proc/self: expected",
        Map.of("OPTIONS", options),
        "moxie run p --prompt-ids 1,2 --execution fused");
  }

  @Test
  void librariesLeaveNothingWhereTheyAreUnpackedNorInTheHomeFolder() throws Exception {
    Path temporary = Files.createDirectory(folder.resolve("temporary"));
    Path home = folder.resolve("nobody");
    String options = "%s -Djava.io.tmpdir=%s -Duser.home=%s".formatted(OPTIONS, temporary, home);
    Map<String, String> places =
        Map.of("OPTIONS", options, "TEXTS", Fixtures.tinyMixtral().toString());
    CommandLineTest.Outcome outcome =
        shell(places, "moxie convert $TEXTS texts && moxie run texts --prompt a --max-tokens 1");
    assertEquals(0, outcome.status(), outcome.err());
    try (var left = Files.list(temporary)) {
      assertEquals(List.of(), left.toList());
    }
    assertFalse(Files.exists(home));
  }

  @Test
  void aFullOrClosedStandardOutputEndsWithFour() throws Exception {
    assertSays(4, "standard output", Map.of(), "moxie verify p --json > /dev/full");
    assertSays(4, "standard output", Map.of(), "moxie --version > /dev/full");
    assertSays(4, "standard output", Map.of(), "moxie inspect p >&-");
    assertSays(4, "standard output", Map.of(), "moxie inspect p | true; exit ${PIPESTATUS[0]}");
  }

  @Test
  void aLocaleWithoutUtf8IsTheReasonAndNotTheFile() throws Exception {
    Path source = Files.createDirectory(folder.resolve("c"));
    try (var files = Files.list(Path.of(SOURCE))) {
      for (Path file : files.toList()) {
        Files.copy(file, source.resolve(file.getFileName().toString()));
      }
    }
    Files.writeString(source.resolve("\u00e9.md"), "x");
    assertEquals(0, shell(Map.of("LC_ALL", "C.UTF-8"), "moxie convert c q").status());
    Map<String, String> posix = Map.of("LC_ALL", "POSIX");
    assertSays(4, "LC_ALL=C.UTF-8", posix, "moxie convert c r");
    assertSays(4, "LC_ALL=C.UTF-8", posix, "moxie verify q");
    assertSays(4, "LC_ALL=C.UTF-8", posix, "moxie convert \"$SOURCE\" $'\\xc3\\xa9'");
    assertSays(
        4, "LC_ALL=C.UTF-8", posix, "mkdir $'\\xc3\\xa8'; cd $'\\xc3\\xa8'; moxie verify ../p");
    assertEquals(0, shell(posix, "moxie verify p").status(), "plain names need no locale");
  }

  @Test
  void aNameThatIsNotUtf8IsNeverTakenForAnother() throws Exception {
    Path named = Files.createDirectory(folder.resolve("named"));
    assertSays(2, "UTF-8", Map.of(), "cd named; moxie convert \"$SOURCE\" $'bad\\xff'");
    assertSays(2, "UTF-8", Map.of(), "cd named; moxie verify ../p --html $'bad\\xff'");
    try (var made = Files.list(named)) {
      assertEquals(List.of(), made.toList());
    }
    assertSays(
        4,
        "working directory",
        Map.of(),
        "mkdir $'bad\\xfe'; cd $'bad\\xfe'; moxie convert \"$SOURCE\" t");
    assertSays(
        3,
        "rename the file",
        Map.of(),
        "mkdir d; cp \"$SOURCE\"/* d; echo x > $'d/bad\\xff.md'; moxie convert d e");
    assertFalse(Files.exists(folder.resolve("e")));
  }

  @Test
  void littleMemoryIsNoDifference() throws Exception {
    CommandLineTest.Outcome outcome =
        shell(Map.of("OPTIONS", OPTIONS + " -Xmx6m"), "moxie verify p");
    assertTrue(outcome.status() == 0 || outcome.status() == 4, outcome.status() + outcome.err());
    assertFalse(outcome.err().contains("\tat "), outcome.err());
  }
}

package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Drawn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.AnnotatedElementContext;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.io.TempDirFactory;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/**
 * More than ten thousand broken files: each ends with a documented status and sentences, and
 * changes nothing. {@code -Dmutants.seed} draws others, {@code -Dmutants.times} more of them,
 * {@code -Dmutants.only=KIND:NUMBER} one again.
 */
@Execution(ExecutionMode.CONCURRENT) // In a process of its own.
class MutantsTest {
  private static final int LEAST = 10_000;
  private static final int MAX_MINUTES = 20;

  /** Inside the project, where fixtures are found. */
  @TempDir(factory = BelowTarget.class)
  Path folder;

  @Test
  void noMutantGetsMoreThanADocumentedStatusAndSentences() throws Exception {
    String only = System.getProperty("mutants.only", "");
    int times = Integer.getInteger("mutants.times", 1);
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "inputs",
                System.getProperty("mutants.seed", "1"),
                String.valueOf(times),
                String.valueOf(Drawn.share())));
    if (!only.isEmpty()) {
      arguments.addAll(List.of(only.split(":", 2)));
    }
    // What an input could make it allocate would not fit; it runs for minutes, with every compiler.
    List<String> options = List.of("-Xmx64m", "-XX:TieredStopAtLevel=4");
    List<String> command = Jvm.command(Mutants.class, options, arguments);
    Path log = folder.resolve("log");
    Process process =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    boolean ended = process.waitFor((long) MAX_MINUTES * times, TimeUnit.MINUTES);
    process.destroyForcibly();
    String said = Files.readString(log);
    assertTrue(ended, "it hangs; so far: " + said);
    assertEquals(0, process.exitValue(), said);
    Matcher mutants = Pattern.compile("(?m)^(\\d+) mutants, seed").matcher(said);
    assertTrue(mutants.find(), said);
    int least = only.isEmpty() ? LEAST / Drawn.share() : 1;
    assertTrue(Integer.parseInt(mutants.group(1)) >= least, said);
    Files.writeString(Path.of("target", "mutants.txt"), said);
  }

  /** Where the build may write. */
  static final class BelowTarget implements TempDirFactory {
    @Override
    public Path createTempDirectory(AnnotatedElementContext element, ExtensionContext context)
        throws IOException {
      Path target = Files.createDirectories(Path.of("target"));
      return Files.createTempDirectory(target.toAbsolutePath(), "mutants");
    }
  }
}

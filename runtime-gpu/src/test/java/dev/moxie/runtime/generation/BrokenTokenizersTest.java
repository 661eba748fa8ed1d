package dev.moxie.runtime.generation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Exhaustive
class BrokenTokenizersTest {
  private static final int MUTANTS = 1000;

  @TempDir Path folder;

  @Test
  void noBrokenTokenizerEndsTheProcess() throws IOException, InterruptedException {
    Path errors = folder.resolve("errors");
    Path output = folder.resolve("output");
    int status =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:-CreateCoredumpOnCrash",
                "-cp",
                System.getProperty("java.class.path"),
                TokenizerMutants.class.getName(),
                Fixtures.tinyMixtral().resolve("tokenizer.json").toString(),
                folder.toString(),
                String.valueOf(MUTANTS))
            .redirectError(errors.toFile())
            .redirectOutput(output.toFile())
            .start()
            .waitFor();
    String said = Files.readString(errors);
    assertEquals(0, status, said.substring(Math.max(0, said.length() - 2000)));
    int used = Integer.parseInt(Files.readString(output).strip());
    // Many changes do no harm, and most do.
    assertTrue(used > MUTANTS / 20 && used < MUTANTS / 2, used + " were loaded");
  }
}

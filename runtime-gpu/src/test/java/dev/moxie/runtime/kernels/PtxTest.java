package dev.moxie.runtime.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the jar carries is what the sources beside it are compiled to. */
class PtxTest {
  private static final Pattern RELEASE =
      Pattern.compile("Cuda compilation tools, release \\S+, (\\S+)");

  @TempDir Path folder;

  @Tag("exhaustive")
  @Test
  void theSameCompilerMakesTheSamePtx() throws IOException, InterruptedException {
    Assumptions.assumeTrue(EmulatedMachine.isThere("nvcc"), "nvcc compiles the kernels");
    Path version = folder.resolve("version");
    run(version, "nvcc", "--version");
    String carried = new String(Code.of("common"), StandardCharsets.US_ASCII);
    Assumptions.assumeTrue(
        release(Files.readString(version)).equals(release(carried)),
        "another nvcc than the one that made the PTX");
    run(folder.resolve("log"), "bash", "src/main/cuda/ptx.sh", folder.toString());
    for (String part : parts()) {
      assertArrayEquals(Code.of(part), Files.readAllBytes(folder.resolve(part + ".ptx")), part);
    }
  }

  private static String[] parts() {
    return new String[] {"bf16", "f16", "fp8", "int8", "int4", "mxfp4", "common"};
  }

  private static Optional<String> release(String text) {
    Matcher matcher = RELEASE.matcher(text);
    return matcher.find() ? Optional.of(matcher.group(1)) : Optional.empty();
  }

  private static void run(Path log, String... command) throws IOException, InterruptedException {
    int code =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start()
            .waitFor();
    assertEquals(0, code, Files.readString(log));
  }

  @ParameterizedTest
  @ValueSource(strings = {"bf16", "f16", "fp8", "int8", "int4", "mxfp4", "common"})
  void everyPartIsForCardsFromCapabilityNineAndDriversFromCuda123(String part) {
    String ptx = new String(Code.of(part), StandardCharsets.US_ASCII);
    assertTrue(ptx.contains("\n.version 8.3\n.target sm_90\n"), part);
  }
}

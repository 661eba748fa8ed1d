package dev.moxie.runtime.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.format.pack.Digests;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the jar carries is what the sources beside it are compiled to. */
class PtxTest {
  private static final Path SOURCES = Path.of("src/main/cuda");
  private static final Path MADE = Path.of("src/main/resources/dev/moxie/runtime/kernels");
  private static final Pattern RELEASE =
      Pattern.compile("Cuda compilation tools, release \\S+, (\\S+)");

  @TempDir Path folder;

  /** No source was changed, and no PTX, since one was made of the other. */
  @Test
  void filesAreThoseThatWereWrittenDownWhenThePtxWasMade() throws IOException {
    Map<String, String> written = new TreeMap<>();
    for (String line : Files.readAllLines(MADE.resolve("made.sha256"))) {
      written.put(line.substring(66), line.substring(0, 64));
    }
    Map<String, String> present = new TreeMap<>();
    try (Stream<Path> sources = Files.list(SOURCES);
        Stream<Path> made = Files.list(MADE)) {
      for (Path file : Stream.concat(sources, made).toList()) {
        String name = file.getFileName().toString();
        if (!name.endsWith(".md") && !name.endsWith(".sha256")) {
          present.put(name, Digests.sha256(Files.readAllBytes(file)));
        }
      }
    }
    assertEquals(written, present);
  }

  /** Of the smallest part, since all of them take minutes. */
  @Exhaustive
  @Test
  void theSameCompilerMakesTheSamePtx() throws IOException, InterruptedException {
    Assumptions.assumeTrue(EmulatedMachine.isThere("nvcc"), "nvcc compiles the kernels");
    Path version = folder.resolve("version");
    run(version, "nvcc", "--version");
    byte[] carried = Code.of("common");
    Assumptions.assumeTrue(
        release(Files.readString(version))
            .equals(release(new String(carried, StandardCharsets.US_ASCII))),
        "another nvcc than the one that made the PTX");
    run(
        folder.resolve("log"),
        "bash",
        SOURCES.resolve("ptx.sh").toString(),
        folder.toString(),
        "common");
    assertArrayEquals(carried, Files.readAllBytes(folder.resolve("common.ptx")));
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

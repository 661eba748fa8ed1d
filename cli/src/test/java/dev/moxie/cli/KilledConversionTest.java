package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.file.StagedFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The short version of {@code converter/kill-test.sh}. */
class KilledConversionTest {
  private static final int KILLS = 4;

  /** More than the journal's first line has. */
  private static final long LINE_BYTES = 2000;

  @TempDir Path folder;

  private List<String> convert(Path target) {
    return List.of(
        ProcessHandle.current().info().command().orElseThrow(),
        "-cp",
        System.getProperty("java.class.path"),
        Main.class.getName(),
        "convert",
        Fixtures.tinyMixtral().toString(),
        target.toString(),
        "--max-shard-size",
        "40KB",
        "--threads",
        "1",
        "--quiet");
  }

  @Test
  void whateverSigkillLeavesTheNextRunMakesTheSamePackageOf() throws Exception {
    assertEquals(0, start(folder.resolve("whole")).waitFor());
    Path target = folder.resolve("p");
    Path journal = folder.resolve(".p.moxie-journal");
    int resumable = 0;
    for (int kill = 0; kill < KILLS && Files.notExists(target); kill++) {
      Process process = start(target);
      long before = size(journal);
      // Until it has finished more than the one before.
      while (process.isAlive() && size(journal) <= before + LINE_BYTES) {
        Thread.onSpinWait();
      }
      process.destroyForcibly().waitFor();
      resumable += Files.notExists(target) && !StagedFolder.finished(target).isEmpty() ? 1 : 0;
    }
    assertTrue(resumable > 0, "every run was complete before it could be killed");
    if (Files.notExists(target)) {
      assertEquals(0, start(target).waitFor());
    }
    assertEquals(FolderDigests.of(folder.resolve("whole")), FolderDigests.of(target));
  }

  private Process start(Path target) throws IOException {
    return new ProcessBuilder(convert(target)).inheritIO().start();
  }

  private static long size(Path file) {
    try {
      return Files.exists(file) ? Files.size(file) : 0;
    } catch (IOException e) {
      return 0; // Gone since.
    }
  }
}

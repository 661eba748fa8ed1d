package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.file.StagedFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The short version of {@code converter/kill-test.sh}. */
@Exhaustive
class KilledConversionTest {
  private static final int KILLS = 4;

  @TempDir Path folder;

  private List<String> convert(Path target) {
    return Jvm.command(
        Main.class,
        List.of(),
        List.of(
            "convert",
            Fixtures.tinyMixtral().toString(),
            target.toString(),
            "--max-shard-size",
            "40KB",
            "--threads",
            "1",
            "--quiet"));
  }

  @Test
  void whateverSigkillLeavesTheNextRunMakesTheSamePackageOf() throws Exception {
    assertEquals(0, start(folder.resolve("whole")).waitFor());
    Path target = folder.resolve("p");
    int resumable = 0;
    for (int kill = 0; kill < KILLS && Files.notExists(target); kill++) {
      Process process = start(target);
      int before = finished(target);
      while (process.isAlive() && finished(target) <= before) {
        Thread.onSpinWait();
      }
      process.destroyForcibly().waitFor();
      resumable += Files.notExists(target) && finished(target) > 0 ? 1 : 0;
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

  private static int finished(Path target) {
    try {
      return StagedFolder.finished(target).size();
    } catch (UncheckedIOException e) {
      return 0; // Gone since.
    }
  }
}

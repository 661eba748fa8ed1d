package dev.moxie.cli;

import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.PackageContents;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.text.Line;
import java.nio.file.Path;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Writing a package: what the verbs that do it have in common. */
final class PackageJob {
  @Mixin private Threads threads = new Threads();

  @Option(
      names = "--force",
      description =
          "Replace a finished package, once the new one is complete; start over where something was"
              + " interrupted.")
  private boolean force;

  @Option(names = "--quiet", description = "Print nothing but errors.")
  private boolean quiet;

  boolean isQuiet() {
    return quiet;
  }

  /**
   * Weight files written at a time.
   *
   * @throws UsageException if that is not a number from 1
   */
  int threads() {
    return threads.count();
  }

  /** Writes the package; where that fails, says what became of it. */
  void write(PackageContents contents, Path target) {
    var interrupted =
        new Thread(
            () -> System.err.println("\nmoxie: interrupted; " + Line.of(left(contents, target))));
    Runtime.getRuntime().addShutdownHook(interrupted);
    try (var progress = new ConsoleProgress(contents.bytesRead(), quiet)) {
      Executor.execute(
          contents,
          target,
          new Manifest.Producer("moxie", Version.current()),
          threads(),
          force,
          progress);
    } catch (RuntimeException e) {
      if (!StagedFolder.finished(target).isEmpty()) {
        System.err.println("moxie: " + Line.of(left(contents, target)));
      }
      throw e;
    } finally {
      Runtime.getRuntime().removeShutdownHook(interrupted);
    }
  }

  private static String left(PackageContents contents, Path target) {
    try {
      int finished = StagedFolder.finished(target).size();
      return finished == 0
          ? target + " is as it was; nothing to go on with is left."
          : "%s is as it was; %d of %d weight files are finished and kept beside it: run the same command again to go on, or add --force to start over."
              .formatted(target, finished, contents.shards().size());
    } catch (MoxieException e) {
      return String.valueOf(e.getMessage());
    }
  }
}

package dev.moxie.cli;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.StagedFile;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The files that one command is to write. */
final class OutputFiles {
  private OutputFiles() {}

  /**
   * Makes sure that no two are the same, whatever links lead to them.
   *
   * @throws UsageException if two are
   */
  static void requireDifferent(List<Path> files) {
    Map<Path, Path> seen = new HashMap<>();
    for (Path file : files) {
      Path other = seen.put(StagedFile.place(file), file);
      if (other != null) {
        throw new UsageException(
            file.toString(),
            "a file for each thing to write",
            "the same as " + other,
            "give each a file of its own");
      }
    }
  }
}

package dev.moxie.cli;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Disk;
import dev.moxie.format.file.Signature;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.pack.MoxiePackage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * A file that a report is written to. It appears whole or not at all, and replaces nothing but an
 * empty file or an earlier report.
 */
final class ReportFile {
  private final Path place;
  private final Signature signature;

  private ReportFile(Path place, Signature signature) {
    this.place = place;
    this.signature = signature;
  }

  /**
   * Makes sure that there is a place for the report, before anything is computed for it.
   *
   * @param start what every report of this kind begins with
   * @throws UsageException if something else is there, or the file would lie in a package
   * @throws EnvironmentException if its folder cannot be made
   */
  static ReportFile open(Path path, String start) {
    var file = new ReportFile(StagedFile.place(path), Signature.of(start));
    MoxiePackage.requireOutside(file.place);
    StagedFile.requireReplaceable(file.place, file.signature);
    StagedFile.requireRoomBeside(file.place, file.signature);
    try {
      Disk.createFolders(file.place.resolveSibling(".").normalize());
    } catch (IOException e) {
      throw new EnvironmentException(
          path.toString(),
          "a place to write a report to",
          "none: its folder cannot be made",
          "check the path, its permissions and the disk");
    }
    return file;
  }

  /**
   * Writes the report.
   *
   * @throws UsageException if something else has appeared there
   */
  void write(String report) {
    try (StagedFile file = StagedFile.create(place, signature)) {
      file.stream().write(report.getBytes(StandardCharsets.UTF_8));
      file.finish();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

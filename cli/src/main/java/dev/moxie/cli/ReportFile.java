package dev.moxie.cli;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.UUID;

/**
 * A file that a report is written to. It appears whole or not at all, and replaces nothing but an
 * empty file or an earlier report.
 */
final class ReportFile {
  private final Path path;

  private ReportFile(Path path) {
    this.path = path;
  }

  /**
   * Makes sure that there is a place for the report, before anything is computed for it.
   *
   * @param start what every report of this kind begins with
   * @param forbidden a folder that the file must not be in
   * @throws UsageException if something else is there
   * @throws EnvironmentException if its folder cannot be made
   */
  static ReportFile open(Path path, String start, Path forbidden) {
    try {
      Path real = real(path.toAbsolutePath().normalize());
      Path parent = real.getParent();
      if (parent == null) {
        throw other(path);
      }
      if (Files.exists(forbidden) && real.startsWith(forbidden.toRealPath())) {
        throw new UsageException(
            path.toString(),
            "a file outside the package, which holds nothing but what its manifest lists",
            "one inside",
            "name another");
      }
      if (Files.exists(real, LinkOption.NOFOLLOW_LINKS) && !isReplaceable(real, start)) {
        throw other(path);
      }
      Files.createDirectories(parent);
      return new ReportFile(real);
    } catch (IOException e) {
      throw failed(path, e);
    }
  }

  /** The path without links, as far as it exists. */
  private static Path real(Path absolute) throws IOException {
    Path existing = absolute;
    while (!Files.exists(existing) && existing.getParent() != null) {
      existing = existing.getParent();
    }
    return existing.toRealPath().resolve(existing.relativize(absolute)).normalize();
  }

  private static boolean isReplaceable(Path file, String start) throws IOException {
    if (!Files.isRegularFile(file)) {
      return false;
    }
    byte[] expected = start.getBytes(StandardCharsets.UTF_8);
    try (InputStream in = Files.newInputStream(file)) {
      byte[] found = in.readNBytes(expected.length);
      return found.length == 0 || Arrays.equals(found, expected);
    }
  }

  private static UsageException other(Path path) {
    return new UsageException(
        path.toString(),
        "no file, an empty one or an earlier report of this kind",
        "something else",
        "name another, or move it away");
  }

  private static EnvironmentException failed(Path path, IOException e) {
    return new EnvironmentException(
        path.toString(),
        "a place to write a report to",
        "\"" + e + "\"",
        "check the path, its permissions and the disk");
  }

  /** Writes the report under another name, and gives it its own when it is complete. */
  void write(String report) {
    Path temporary = path.resolveSibling(path.getFileName() + "." + UUID.randomUUID() + ".tmp");
    try {
      try {
        Files.writeString(temporary, report, StandardOpenOption.CREATE_NEW);
        Files.move(temporary, path, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(temporary);
      }
    } catch (IOException e) {
      throw failed(path, e);
    }
  }
}

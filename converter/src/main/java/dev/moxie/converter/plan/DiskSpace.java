package dev.moxie.converter.plan;

import dev.moxie.format.error.EnvironmentException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A full disk should show before hours of writing, not after. */
public final class DiskSpace {
  private DiskSpace() {}

  /**
   * Makes sure that so many bytes fit where a target is to be made.
   *
   * @throws EnvironmentException if they do not
   */
  public static void require(Path target, long bytes) {
    long free = free(target);
    if (free < bytes) {
      throw new EnvironmentException(
          target.toString(),
          bytes + " free bytes",
          String.valueOf(free),
          "free some space or choose another disk");
    }
  }

  /** Bytes that are free where a target is to be made. */
  public static long free(Path target) {
    try {
      return Files.getFileStore(existing(target)).getUsableSpace();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The path, or the nearest folder above it that exists. */
  static Path existing(Path path) {
    Path existing = path.toAbsolutePath().normalize();
    while (!Files.exists(existing) && existing.getParent() != null) {
      existing = existing.getParent();
    }
    return existing;
  }
}

package dev.moxie.format.file;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import org.jspecify.annotations.Nullable;

/**
 * By what a file is known to be the same that it was.
 *
 * @param key of the file itself, whatever its name; null where the system has none
 */
public record FileStamp(long bytes, FileTime modified, @Nullable Object key) {
  /** Of the file as it is now. */
  public static FileStamp of(Path file) {
    try {
      var attributes = Files.readAttributes(file, BasicFileAttributes.class);
      return new FileStamp(attributes.size(), attributes.lastModifiedTime(), attributes.fileKey());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

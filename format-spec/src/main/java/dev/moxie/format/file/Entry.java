package dev.moxie.format.file;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/**
 * What a path leads to. Unlike {@link Files#exists} and its like, a place that may not be looked at
 * is an error and not nothing.
 */
public enum Entry {
  NONE,
  FILE,
  FOLDER,
  OTHER;

  /** Looks, through links. */
  public static Entry of(Path path) {
    try {
      var attributes = Files.readAttributes(path, BasicFileAttributes.class);
      return attributes.isRegularFile() ? FILE : attributes.isDirectory() ? FOLDER : OTHER;
    } catch (NoSuchFileException e) {
      return NONE;
    } catch (FileSystemException e) {
      Path parent = path.toAbsolutePath().getParent();
      if (parent != null && of(parent) != FOLDER) {
        return NONE; // Nothing lies in a file.
      }
      throw new UncheckedIOException(e);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

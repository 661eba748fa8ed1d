package dev.moxie.verifier.diff;

import dev.moxie.format.error.EnvironmentException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/**
 * Some bytes of a file. They are mapped only while they are compared: memory holds the leaves that
 * are being read, however large the models.
 *
 * @param offset of the first byte, from the start of the file
 */
record Extent(Path file, long offset, long bytes) {
  /** A part of these bytes. */
  Extent slice(long from, long count) {
    return new Extent(file, offset + from, count);
  }

  /**
   * The bytes, until the arena is closed.
   *
   * @throws EnvironmentException if the file has become shorter
   */
  MemorySegment map(Arena arena) {
    try (FileChannel channel = FileChannel.open(file)) {
      if (channel.size() < offset + bytes) {
        throw EnvironmentException.changedWhileRead(
            file.toString(),
            channel.size() + " bytes where there were at least " + (offset + bytes));
      }
      return channel.map(FileChannel.MapMode.READ_ONLY, offset, bytes, arena);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

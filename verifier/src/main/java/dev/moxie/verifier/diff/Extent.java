package dev.moxie.verifier.diff;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.view.Rearrangement;
import dev.moxie.format.view.View;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Some bytes of a file. They are mapped only while they are compared: memory holds the leaves that
 * are being read, however large the models.
 *
 * @param offset of the first byte, from the start of the file
 * @param bytes how many there are
 * @param gathered null if they lie one after the other
 */
record Extent(Path file, long offset, long bytes, @Nullable Gathered gathered) {
  /** Elements that a view sees of those that begin at the offset. */
  record Gathered(View view, int width) {}

  /** A part of these bytes. */
  Extent slice(long from, long count) {
    return new Extent(file, offset + from, count, null);
  }

  /** What a view sees of these bytes. */
  Extent seen(View view, int width) {
    long count = view.elements() * width;
    return view.isRun()
        ? slice(view.offset() * width, count)
        : new Extent(file, offset, count, new Gathered(view, width));
  }

  /**
   * The bytes, until the arena is closed.
   *
   * @throws EnvironmentException if the file has become shorter
   */
  MemorySegment map(Arena arena) {
    if (gathered == null) {
      return map(offset, bytes, arena);
    }
    MemorySegment seen = arena.allocate(bytes);
    View view = gathered.view();
    int width = gathered.width();
    try (Arena around = Arena.ofConfined()) {
      long from = view.offset();
      MemorySegment tensor = map(offset + from * width, (view.end() - from) * width, around);
      Rearrangement.of(view).gather(tensor, from, seen, width);
    }
    return seen;
  }

  private MemorySegment map(long from, long count, Arena arena) {
    try (FileChannel channel = FileChannel.open(file)) {
      if (channel.size() < from + count) {
        throw EnvironmentException.changedWhileRead(
            file.toString(), channel.size() + " bytes where there were at least " + (from + count));
      }
      return channel.map(FileChannel.MapMode.READ_ONLY, from, count, arena);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

package dev.moxie.format.file;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;

/**
 * A new file, written front to back: while one buffer is filled, those before it are on their way
 * to the disk. Where the file system allows it the bytes bypass the page cache (O_DIRECT), which
 * spares the processor a copy of each byte and everybody else's files their place in the cache.
 *
 * <p>For one thread at a time.
 */
public final class StreamedFile implements AutoCloseable {
  private static final int BUFFER_BYTES = 1 << 20;

  /** Enough to keep a disk busy while another buffer is being filled and digested. */
  private static final int MOST_BUFFERS = 8;

  private final DiskFile file;
  private final long alignment;
  private final Arena memory = Arena.ofShared();
  private final List<ByteBuffer> buffers = new ArrayList<>();
  private final List<@Nullable Future<?>> pending = new ArrayList<>();
  private final ExecutorService writer = Executors.newSingleThreadExecutor();
  private int current;
  private long sent;

  private StreamedFile(DiskFile file, long alignment, long bytes) {
    this.file = file;
    this.alignment = alignment;
    long count = Math.clamp(Math.ceilDiv(bytes, BUFFER_BYTES), 1, MOST_BUFFERS);
    MemorySegment segment = memory.allocate(count * BUFFER_BYTES, alignment);
    for (long i = 0; i < count; i++) {
      buffers.add(segment.asSlice(i * BUFFER_BYTES, BUFFER_BYTES).asByteBuffer());
      pending.add(null);
    }
  }

  /**
   * Creates the file, which must not exist.
   *
   * @param bytes that it will have, for the choice of buffers
   */
  public static StreamedFile create(Path file, long bytes) throws IOException {
    long block = Files.getFileStore(file.toAbsolutePath().getParent()).getBlockSize();
    boolean aligned = block > 0 && BUFFER_BYTES % block == 0;
    @Nullable DiskFile direct = aligned ? createDirect(file) : null;
    return direct != null
        ? new StreamedFile(direct, block, bytes)
        : new StreamedFile(Disk.create(file), 1, bytes);
  }

  /** Null where the file system has no direct access; it may have made the file all the same. */
  private static @Nullable DiskFile createDirect(Path file) throws IOException {
    try {
      return Disk.create(file, direct());
    } catch (FileAlreadyExistsException e) {
      throw e;
    } catch (IOException | UnsupportedOperationException e) {
      Disk.delete(file);
      return null;
    }
  }

  /** By name: it lies in jdk.unsupported, which the compiler warns of and a runtime may lack. */
  private static OpenOption direct() {
    try {
      return (OpenOption)
          Class.forName("com.sun.nio.file.ExtendedOpenOption").getField("DIRECT").get(null);
    } catch (ReflectiveOperationException e) {
      throw new UnsupportedOperationException(e);
    }
  }

  /** Where the next bytes are to be put; never empty. */
  private ByteBuffer room() throws IOException {
    if (!buffers.get(current).hasRemaining()) {
      send();
    }
    return buffers.get(current);
  }

  /** Does something with all remaining bytes of a buffer. */
  @FunctionalInterface
  public interface Step {
    void apply(ByteBuffer bytes) throws IOException;
  }

  /**
   * Appends bytes that a reader puts in their place, at most as many as are left.
   *
   * @param reader fills the little-endian buffer that it is given
   * @param digester is shown what was read
   * @return how many bytes there were room for
   */
  public int fill(long left, Step reader, Step digester) throws IOException {
    ByteBuffer room = room();
    int start = room.position();
    int count = (int) Math.min(room.remaining(), left);
    ByteBuffer chunk = room.slice(start, count).order(ByteOrder.LITTLE_ENDIAN);
    reader.apply(chunk);
    if (chunk.hasRemaining()) {
      throw new IllegalStateException(chunk.remaining() + " bytes too few");
    }
    digester.apply(chunk.flip());
    room.position(start + count);
    return count;
  }

  /** Appends bytes. */
  public void write(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      ByteBuffer room = room();
      int count = Math.min(room.remaining(), bytes.remaining());
      room.put(bytes.slice(bytes.position(), count));
      bytes.position(bytes.position() + count);
    }
  }

  /** Hands the current buffer to the disk and waits until the next is free. */
  private void send() throws IOException {
    ByteBuffer full = buffers.get(current).flip();
    sent += full.limit();
    // Direct access writes whole blocks; what the last has too much is cut off at the end.
    full.limit(Math.toIntExact(Math.ceilDiv(full.limit(), alignment) * alignment));
    pending.set(
        current,
        writer.submit(
            () -> {
              file.write(full);
              return null;
            }));
    current = (current + 1) % buffers.size();
    await(current);
    buffers.get(current).clear();
  }

  private void await(int buffer) throws IOException {
    Future<?> write = pending.get(buffer);
    try {
      if (write != null) {
        write.get();
      }
    } catch (ExecutionException e) {
      throw e.getCause() instanceof IOException cause ? cause : new IOException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while writing", e);
    }
  }

  /** Writes what is left and makes sure that all of it is on the disk. */
  public void finish() throws IOException {
    send();
    for (int i = 0; i < buffers.size(); i++) {
      await(i);
    }
    file.truncate(sent);
    file.sync();
  }

  @Override
  public void close() throws IOException {
    try (file) {
      // Memory must not go before the thread that writes from it.
      writer.close();
      memory.close();
    }
  }
}

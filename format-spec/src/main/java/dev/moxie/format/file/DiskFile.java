package dev.moxie.format.file;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.channels.WritableByteChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** A file that is being written; each change is a step of {@link Disk}. */
public final class DiskFile implements WritableByteChannel {
  private final Path path;
  private final FileChannel channel;
  private final @Nullable Object key;

  /**
   * Begins.
   *
   * @param key of the file itself, whatever its name; null where nobody asks
   */
  DiskFile(Path path, FileChannel channel, @Nullable Object key) {
    this.path = path;
    this.channel = channel;
    this.key = key;
  }

  Path path() {
    return path;
  }

  @Nullable Object key() {
    return key;
  }

  /** Writes all remaining bytes after those that were written before. */
  @Override
  public int write(ByteBuffer bytes) throws IOException {
    Disk.step("write", path);
    int count = bytes.remaining();
    try {
      Channels.writeFully(channel, bytes);
    } catch (IOException e) {
      throw located(e);
    }
    return count;
  }

  /** A channel does not say which file it could not write. */
  private IOException located(IOException e) {
    return e instanceof FileSystemException
        ? e
        : new FileSystemException(path.toString(), null, e.getMessage());
  }

  /** Writes all remaining bytes after those that are there. */
  void append(ByteBuffer bytes) throws IOException {
    channel.position(channel.size());
    write(bytes);
  }

  /** Makes sure that all of it is on the disk. */
  public void sync() throws IOException {
    Disk.step("sync", path);
    try {
      channel.force(true);
    } catch (IOException e) {
      throw located(e);
    }
  }

  /** Cuts it off after so many bytes; what is written next comes there. */
  void truncate(long bytes) throws IOException {
    Disk.step("truncate", path);
    try {
      channel.truncate(bytes).position(bytes);
    } catch (IOException e) {
      throw located(e);
    }
  }

  /** Writes everything from some byte on to another. */
  public void copyTo(DiskFile other, long from) throws IOException {
    long size = channel.size();
    for (long done = from; done < size; ) {
      done += channel.transferTo(done, size - done, other);
    }
  }

  /** What it begins with: so many bytes, or all if it has fewer. */
  byte[] start(int count) throws IOException {
    ByteBuffer start = ByteBuffer.allocate((int) Math.min(count, channel.size()));
    int read = 0;
    while (start.hasRemaining() && read >= 0) {
      read = channel.read(start, start.position());
    }
    return Arrays.copyOf(start.array(), start.position());
  }

  long size() throws IOException {
    return channel.size();
  }

  /** Keeps all others from {@link #lock} until it is closed; false if somebody else does. */
  boolean lock() throws IOException {
    try {
      return channel.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  @Override
  public boolean isOpen() {
    return channel.isOpen();
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}

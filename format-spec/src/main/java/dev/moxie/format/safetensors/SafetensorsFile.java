package dev.moxie.format.safetensors;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.json.StrictJson;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * A safetensors file, its header validated and its data mapped ({@link MappedTensors}). Nothing is
 * allocated beyond the header, which is bounded by the file's own size.
 */
public final class SafetensorsFile implements AutoCloseable {
  private final Path path;
  private final SafetensorsHeader header;
  private final MappedTensors mapped;

  private SafetensorsFile(Path path, SafetensorsHeader header, MappedTensors mapped) {
    this.path = path;
    this.header = header;
    this.mapped = mapped;
  }

  /**
   * Opens and validates a file.
   *
   * @throws CorruptException if it breaks a rule of the format
   * @throws UncheckedIOException if it cannot be read
   */
  public static SafetensorsFile open(Path path) {
    SafetensorsHeader header = readHeader(path);
    return new SafetensorsFile(path, header, MappedTensors.map(path, header));
  }

  /** Reads and validates the header alone, mapping nothing. */
  public static SafetensorsHeader readHeader(Path path) {
    StrictJson.requireRegular(path);
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      return readHeader(path, channel);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static SafetensorsHeader readHeader(Path path, FileChannel channel) throws IOException {
    long size = channel.size();
    String where = path.toString();
    ByteBuffer start = ByteBuffer.allocate((int) Math.min(size, SafetensorsHeader.LENGTH_BYTES));
    readFully(channel, start, 0);
    byte[] json = new byte[SafetensorsHeader.jsonBytes(where, start.flip(), size)];
    readFully(channel, ByteBuffer.wrap(json), SafetensorsHeader.LENGTH_BYTES);
    return SafetensorsHeader.parse(where, json, size);
  }

  private static void readFully(FileChannel channel, ByteBuffer into, long position)
      throws IOException {
    while (into.hasRemaining()) {
      if (channel.read(into, position + into.position()) < 0) {
        throw new EOFException("file shrank while it was read");
      }
    }
  }

  /** Where the file lies. */
  public Path path() {
    return path;
  }

  /** The validated header. */
  public SafetensorsHeader header() {
    return header;
  }

  /** The entry of that name, if there is one. */
  public Optional<TensorInfo> find(String name) {
    return mapped.find(name);
  }

  /**
   * The entry of that name.
   *
   * @throws CorruptException if the file has none
   */
  public TensorInfo require(String name) {
    return mapped.require(name);
  }

  /** The bytes of one tensor, mapped. */
  public MemorySegment data(TensorInfo info) {
    return mapped.data(info);
  }

  /** The whole file, mapped. */
  public MemorySegment bytes() {
    return mapped.bytes();
  }

  @Override
  public void close() {
    mapped.close();
  }
}

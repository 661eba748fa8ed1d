package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.pack.PackageWriter;
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads tensors into the buffers from which they are written, transforming them on the way. Plain
 * reads, not mappings: a source that shrinks meanwhile is then an error and not a crash.
 */
final class SourceReader implements AutoCloseable {
  /** Whole elements of every dtype; small enough to stay in the cache. */
  private static final int SCRATCH_BYTES = 1 << 16;

  private final Path folder;
  private final Progress progress;
  private final Map<String, FileChannel> channels = new HashMap<>();
  private @Nullable ByteBuffer scratch;

  SourceReader(Path folder, Progress progress) {
    this.folder = folder;
    this.progress = progress;
  }

  /** A chunk of elements to another. */
  private interface Kernel {
    /**
     * Appends what the chunk becomes.
     *
     * @param first index of the chunk's first element
     */
    void apply(ByteBuffer chunk, long first, ByteBuffer out);
  }

  /** The bytes that a piece becomes. */
  PackageWriter.LeafBytes open(ConversionPlan.Piece piece) throws IOException {
    SourceTensor source = piece.source();
    var position = new Position(source);
    return switch (piece.transform()) {
      case Transform.Copy copy -> position::read;
      case Transform.Cast cast ->
          position.through(
              cast.to(),
              (chunk, first, out) -> Converter.cast(chunk, source.dtype(), out, cast.to()));
      case Transform.Dequantise to -> {
        float[] scales = floats(to.scales());
        yield position.through(
            to.to(),
            (chunk, first, out) ->
                Converter.dequantise(chunk, first, to.columns(), scales, out, to.to()));
      }
    };
  }

  private float[] floats(SourceTensor source) throws IOException {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(source.bytes())).order(ByteOrder.LITTLE_ENDIAN);
    new Position(source).read(bytes);
    float[] values = new float[bytes.flip().remaining() / Float.BYTES];
    bytes.asFloatBuffer().get(values);
    return values;
  }

  private ByteBuffer scratch() {
    ByteBuffer buffer = scratch;
    if (buffer == null) {
      buffer = ByteBuffer.allocateDirect(SCRATCH_BYTES).order(ByteOrder.LITTLE_ENDIAN);
      scratch = buffer;
    }
    return buffer.clear();
  }

  /** How far a tensor has been read. */
  private final class Position {
    private final SourceTensor source;
    private final FileChannel channel;
    private long done;

    Position(SourceTensor source) throws IOException {
      this.source = source;
      FileChannel open = channels.get(source.file());
      if (open == null) {
        open = FileChannel.open(folder.resolve(source.file()), StandardOpenOption.READ);
        channels.put(source.file(), open);
      }
      this.channel = open;
    }

    /** Fills the buffer with the next bytes. */
    void read(ByteBuffer into) throws IOException {
      long before = done;
      while (into.hasRemaining()) {
        int count = read(into, source.offset() + done);
        if (count < 0) {
          throw new EnvironmentException(
              folder.resolve(source.file())
                  + ", tensor "
                  + source.name()
                  + ", offset "
                  + (source.offset() + done),
              "more bytes",
              "the end of the file, which shrank while it was read",
              "restore the file and start over with --force");
        }
        done += count;
      }
      progress.advance(done - before);
    }

    /** A channel does not say which file it could not read. */
    private int read(ByteBuffer into, long offset) throws IOException {
      try {
        return channel.read(into, offset);
      } catch (IOException e) {
        throw new FileSystemException(
            folder.resolve(source.file()).toString(), null, e.getMessage());
      }
    }

    /** Passes the elements through a kernel, which turns each into one of another dtype. */
    PackageWriter.LeafBytes through(Dtype to, Kernel kernel) {
      int wide = to.bits() / Byte.SIZE;
      int narrow = source.dtype().bits() / Byte.SIZE;
      return into -> {
        while (into.hasRemaining()) {
          int elements = Math.min(into.remaining() / wide, SCRATCH_BYTES / narrow);
          long first = done / narrow;
          ByteBuffer chunk = scratch().limit(elements * narrow);
          read(chunk);
          kernel.apply(chunk.flip(), first, into);
        }
      };
    }
  }

  @Override
  public void close() throws IOException {
    for (FileChannel channel : channels.values()) {
      channel.close();
    }
  }
}

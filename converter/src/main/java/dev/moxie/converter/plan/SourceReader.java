package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.pack.PackageWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads the tensors of a checkpoint through one buffer, and passes them on as a transform makes
 * them. Plain reads, not mappings: a source that shrinks meanwhile is then an error and not a
 * crash.
 */
final class SourceReader implements AutoCloseable {
  /** Whole elements of every dtype. */
  private static final int BUFFER_BYTES = 1 << 20;

  private final Path folder;
  private final Progress progress;
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES);
  private @Nullable ByteBuffer converted;
  private final Map<String, FileChannel> open = new HashMap<>();

  SourceReader(Path folder, Progress progress) {
    this.folder = folder;
    this.progress = progress;
  }

  /** Takes some bytes of a tensor. */
  private interface Chunks {
    /**
     * Takes the remaining bytes of the chunk.
     *
     * @param start how many bytes of the tensor came before
     */
    void accept(ByteBuffer chunk, long start) throws IOException;
  }

  /** Hands a tensor to the sink, transformed. */
  void transfer(SourceTensor source, Transform transform, PackageWriter.Sink sink)
      throws IOException {
    switch (transform) {
      case Transform.Copy copy -> read(source, (chunk, start) -> sink.accept(chunk));
      case Transform.Cast cast ->
          read(
              source,
              (chunk, start) -> {
                ByteBuffer out = converted();
                Converter.cast(chunk, source.dtype(), out, cast.to());
                sink.accept(out.flip());
              });
      case Transform.Dequantise to -> {
        float[] scales = floats(to.scales());
        read(
            source,
            (chunk, start) -> {
              ByteBuffer out = converted();
              Converter.dequantise(chunk, start, to.columns(), scales, out, to.to());
              sink.accept(out.flip());
            });
      }
    }
  }

  /** Room for the largest thing that a buffer of elements becomes; not needed to copy. */
  private ByteBuffer converted() {
    ByteBuffer out = converted;
    if (out == null) {
      out = ByteBuffer.allocateDirect(BUFFER_BYTES * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      converted = out;
    }
    return out.clear();
  }

  private float[] floats(SourceTensor source) throws IOException {
    float[] values = new float[Math.toIntExact(source.bytes() / Float.BYTES)];
    read(
        source,
        (chunk, start) ->
            chunk
                .order(ByteOrder.LITTLE_ENDIAN)
                .asFloatBuffer()
                .get(
                    values, Math.toIntExact(start / Float.BYTES), chunk.remaining() / Float.BYTES));
    return values;
  }

  private void read(SourceTensor source, Chunks chunks) throws IOException {
    Path path = folder.resolve(source.file());
    FileChannel in = open.get(source.file());
    if (in == null) {
      in = FileChannel.open(path, StandardOpenOption.READ);
      open.put(source.file(), in);
    }
    for (long done = 0; done < source.bytes(); done += buffer.limit()) {
      buffer.clear().limit((int) Math.min(BUFFER_BYTES, source.bytes() - done));
      while (buffer.hasRemaining()) {
        if (in.read(buffer, source.offset() + done + buffer.position()) < 0) {
          throw new CorruptException(
              path + ", tensor " + source.name() + ", offset " + (source.offset() + done),
              "more bytes",
              "the end of the file, which shrank while it was converted",
              "let nothing write to the checkpoint and convert again");
        }
      }
      chunks.accept(buffer.flip(), done);
      progress.advance(buffer.limit());
    }
  }

  @Override
  public void close() throws IOException {
    for (FileChannel channel : open.values()) {
      channel.close();
    }
  }
}

package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.pack.PackageWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;

/**
 * Reads the tensors of a checkpoint through one buffer. Plain reads, not mappings: a source that
 * shrinks meanwhile is then an error and not a crash.
 */
final class SourceReader implements AutoCloseable {
  private static final int BUFFER_BYTES = 1 << 20;

  private final Path folder;
  private final Progress progress;
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES);
  private final Map<String, FileChannel> open = new HashMap<>();

  SourceReader(Path folder, Progress progress) {
    this.folder = folder;
    this.progress = progress;
  }

  void copy(SourceTensor source, PackageWriter.Sink sink) throws IOException {
    Path path = folder.resolve(source.file());
    FileChannel in = open.get(source.file());
    if (in == null) {
      in = FileChannel.open(path, StandardOpenOption.READ);
      open.put(source.file(), in);
    }
    long done = 0;
    while (done < source.bytes()) {
      buffer.clear().limit((int) Math.min(BUFFER_BYTES, source.bytes() - done));
      int read = in.read(buffer, source.offset() + done);
      if (read < 0) {
        throw new CorruptException(
            path + ", tensor " + source.name() + ", offset " + (source.offset() + done),
            "more bytes",
            "the end of the file, which shrank while it was converted",
            "let nothing write to the checkpoint and convert again");
      }
      sink.accept(buffer.flip());
      done += read;
      progress.advance(read);
    }
  }

  @Override
  public void close() throws IOException {
    for (FileChannel channel : open.values()) {
      channel.close();
    }
  }
}

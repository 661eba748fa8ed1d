package dev.moxie.format.file;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** What {@link FileChannel} lacks. */
public final class Channels {
  private Channels() {}

  /** Writes all remaining bytes; one call of a channel may write fewer. */
  public static void writeFully(FileChannel out, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      out.write(bytes);
    }
  }
}

package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/** Compares tensors of a checkpoint's weight files byte by byte. */
final class SameBytes {
  private static final int CHUNK = 1 << 20;

  private SameBytes() {}

  /** The first byte in which two tensors of equal size differ; −1 if there is none. */
  static long mismatch(Path folder, SourceTensor a, SourceTensor b) {
    try (FileChannel ofA = FileChannel.open(folder.resolve(a.file()));
        FileChannel ofB = FileChannel.open(folder.resolve(b.file()))) {
      ByteBuffer chunkOfA = ByteBuffer.allocateDirect(CHUNK);
      ByteBuffer chunkOfB = ByteBuffer.allocateDirect(CHUNK);
      for (long at = 0; at < a.bytes(); at += CHUNK) {
        int size = (int) Math.min(CHUNK, a.bytes() - at);
        read(ofA, chunkOfA.clear().limit(size), a.offset() + at);
        read(ofB, chunkOfB.clear().limit(size), b.offset() + at);
        int mismatch = chunkOfA.mismatch(chunkOfB);
        if (mismatch >= 0) {
          return at + mismatch;
        }
      }
      return -1;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Fills a chunk with a file's bytes from one on. */
  static void read(FileChannel channel, ByteBuffer chunk, long position) throws IOException {
    while (chunk.hasRemaining()) {
      if (channel.read(chunk, position + chunk.position()) < 0) {
        throw new EOFException("a weight file shrank while it was read");
      }
    }
    chunk.flip();
  }
}

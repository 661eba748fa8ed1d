package dev.moxie.format.pickle;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** The bytes of a pickle, one after the other, those of arrays left out. */
interface PickleSource {
  /** The next byte; below 0 at the end. */
  int next() throws IOException;

  /** Passes over bytes of an array. */
  void pass(long bytes);

  /** A file, of which a few bytes are read at a time. */
  static PickleSource of(FileChannel channel) {
    return new PickleSource() {
      private final ByteBuffer some = ByteBuffer.allocate(512).limit(0);
      private long position;

      @Override
      public int next() throws IOException {
        if (!some.hasRemaining()) {
          some.clear();
          int count = channel.read(some, position);
          some.flip();
          if (count <= 0) {
            return -1;
          }
        }
        position++;
        return some.get() & 0xff;
      }

      @Override
      public void pass(long bytes) {
        some.limit(0);
        position += bytes;
      }
    };
  }

  /** What was kept of a file. */
  static PickleSource of(byte[] kept) {
    return new PickleSource() {
      private int position;

      @Override
      public int next() {
        return position < kept.length ? kept[position++] & 0xff : -1;
      }

      @Override
      public void pass(long bytes) {}
    };
  }
}

package dev.moxie.cli;

import dev.moxie.format.error.EnvironmentException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * Standard output, where nothing is lost in silence: what cannot be written ends the command, be
 * the disk full or the reader gone. Nothing is held back, so that a status of 0 says that all is
 * written.
 */
final class StandardOutput extends PrintStream {
  private final Sink sink;

  StandardOutput(OutputStream out) {
    this(new Sink(out));
  }

  private StandardOutput(Sink sink) {
    super(sink, true, StandardCharsets.UTF_8);
    this.sink = sink;
  }

  /** Whether anything was written, or could not be. */
  boolean isUsed() {
    return sink.used;
  }

  /** A print stream swallows what it knows to be an error of input and output, but nothing else. */
  private static final class Sink extends OutputStream {
    private final OutputStream out;
    private boolean used;

    private Sink(OutputStream out) {
      this.out = out;
    }

    @Override
    public void write(int b) {
      write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
      used |= length > 0;
      try {
        out.write(bytes, offset, length);
      } catch (IOException e) {
        throw failed(e);
      }
    }

    @Override
    public void flush() {
      try {
        out.flush();
      } catch (IOException e) {
        throw failed(e);
      }
    }

    private static EnvironmentException failed(IOException e) {
      return new EnvironmentException(
          "standard output",
          "to write there",
          "\"" + e.getMessage() + "\"",
          "see that the disk has room, and that what reads it stays to the end");
    }
  }
}

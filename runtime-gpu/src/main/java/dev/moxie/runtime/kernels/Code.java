package dev.moxie.runtime.kernels;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Objects;

/** The kernels as PTX: a file for each encoding, and one for what has none. */
final class Code {
  private Code() {}

  static byte[] of(String part) {
    try (InputStream in =
        Objects.requireNonNull(Code.class.getResourceAsStream(part + ".ptx"), part)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

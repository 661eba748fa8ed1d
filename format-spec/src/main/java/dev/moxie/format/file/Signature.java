package dev.moxie.format.file;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Arrays;

/** The bytes by which all files of a kind are known, at the same place in each. */
public final class Signature {
  private final int offset;
  private final byte[] bytes;

  private Signature(int offset, byte[] bytes) {
    this.offset = offset;
    this.bytes = bytes;
  }

  /** Files that begin with these bytes. */
  public static Signature of(byte[] bytes) {
    return new Signature(0, bytes.clone());
  }

  /** Files that begin with this text. */
  public static Signature of(String text) {
    return at(0, text);
  }

  /** Files with this text after so many bytes that differ. */
  public static Signature at(int offset, String text) {
    return new Signature(offset, text.getBytes(StandardCharsets.UTF_8));
  }

  /** The bytes themselves. */
  byte[] bytes() {
    return bytes.clone();
  }

  /** How much of a file is to be looked at. */
  int end() {
    return offset + bytes.length;
  }

  /** Whether a file of this kind may begin so, as far as it has been written. */
  boolean agrees(byte[] start) {
    int there = Math.clamp(start.length - offset, 0, bytes.length);
    return there == 0 || Arrays.equals(start, offset, offset + there, bytes, 0, there);
  }

  /** Whether something is a file of this kind, or an empty one, which is nobody's loss. */
  public boolean isOf(Path file) throws IOException {
    if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
      return false;
    }
    try (InputStream in = Files.newInputStream(file, LinkOption.NOFOLLOW_LINKS)) {
      byte[] start = in.readNBytes(end());
      return start.length == 0 || (start.length == end() && agrees(start));
    }
  }
}

package dev.moxie.runtime.generation;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** Bytes that need not be text. */
final class Utf8 {
  private static final int LONGEST = 4;

  private Utf8() {}

  /** Their characters, and for each byte that belongs to none the one that stands for such. */
  static String decoded(byte[] bytes) {
    var text = new StringBuilder();
    for (int at = 0; at < bytes.length; ) {
      int length = character(bytes, at, text);
      if (length == 0) {
        text.append('\uFFFD');
      }
      at += Math.max(1, length);
    }
    return text.toString();
  }

  private static int character(byte[] bytes, int at, StringBuilder text) {
    for (int length = 1; length <= LONGEST && at + length <= bytes.length; length++) {
      try {
        text.append(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, at, length)));
        return length;
      } catch (CharacterCodingException e) {
        // No character, or not all of it.
      }
    }
    return 0;
  }
}

package dev.moxie.verifier.routing;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Predicate;

/**
 * Reads a text in pieces, so that one of any size takes little memory. A piece ends after the last
 * line end among its first {@value #MOST} characters; where there is none, after all of them.
 *
 * <p>Pieces are tokenised one by one. A tokenizer whose normaliser puts something before a text
 * ("Prepend", as SentencePiece's space in those of Llama and Mixtral) puts it before every piece:
 * the tokens of a text of several pieces are then those of its pieces, not those of the text as a
 * whole.
 */
final class TextPieces {
  static final int MOST = 1 << 16;

  private TextPieces() {}

  /**
   * Makes sure that there is a text, without reading it.
   *
   * @throws CorruptException if it is a folder, a pipe or a device
   * @throws UsageException if it is empty
   */
  static void requireSome(Path file) {
    StrictJson.requireRegular(file);
    try (InputStream in = Files.newInputStream(file)) {
      if (in.read() < 0) {
        throw new UsageException(file.toString(), "a text", "an empty file", "pass another");
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Passes on pieces until they are not wanted any more, or there are none.
   *
   * @param wantsMore takes a piece
   * @throws CorruptException if the file is no text in UTF-8
   */
  static void read(Path file, Predicate<String> wantsMore) {
    StrictJson.requireRegular(file);
    // A decoder that was not told otherwise reports bytes that are no UTF-8.
    try (var reader =
        new InputStreamReader(Files.newInputStream(file), StandardCharsets.UTF_8.newDecoder())) {
      char[] buffer = new char[MOST];
      int filled = fill(reader, buffer, 0);
      while (filled > 0) {
        int end = filled < MOST ? filled : end(buffer);
        String piece = new String(buffer, 0, end);
        if (piece.indexOf('\0') >= 0) {
          throw notText(file, "a NUL, as binary files have");
        }
        if (!wantsMore.test(piece)) {
          return;
        }
        System.arraycopy(buffer, end, buffer, 0, filled - end);
        filled = fill(reader, buffer, filled - end);
      }
    } catch (CharacterCodingException e) {
      throw notText(file, "other bytes");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Fills the buffer as far as the text goes; returns how many characters it then holds. */
  private static int fill(Reader reader, char[] buffer, int filled) throws IOException {
    int count = filled;
    while (count < buffer.length) {
      int more = reader.read(buffer, count, buffer.length - count);
      if (more < 0) {
        break;
      }
      count += more;
    }
    return count;
  }

  /** Where the piece in a full buffer ends. */
  private static int end(char[] buffer) {
    for (int end = buffer.length; end > 0; end--) {
      if (buffer[end - 1] == '\n') {
        return end;
      }
    }
    return Character.isHighSurrogate(buffer[MOST - 1]) ? MOST - 1 : MOST;
  }

  private static CorruptException notText(Path file, String found) {
    return new CorruptException(file.toString(), "a text in UTF-8", found, "pass a text");
  }
}

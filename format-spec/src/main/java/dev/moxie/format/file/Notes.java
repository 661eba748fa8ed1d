package dev.moxie.format.file;

import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;

/** Lines that are remembered beside something, in a file that may be deleted at any time. */
public final class Notes {
  /** Of larger files none is ours: a line has some hundred bytes, and there are few. */
  private static final int MAX_BYTES = 1 << 20;

  /** It is the lines that must be ours. */
  private static final Signature ANY = Signature.of("");

  private final Path file;
  private final Pattern line;

  /**
   * Notes that may be there already.
   *
   * @param what the kind of notes, part of the file's name
   * @param line that all lines of this kind match, and those of other files do not
   */
  public Notes(Path beside, String what, Pattern line) {
    this.file = Beside.path(beside, what);
    this.line = line;
  }

  /**
   * Whether a line is there.
   *
   * @throws UsageException if the file is not ours
   */
  public boolean contain(String text) {
    try {
      return lines(Beside.read(file, ANY, MAX_BYTES)).contains(text);
    } catch (IOException e) {
      // What cannot be read has not been remembered.
      return false;
    }
  }

  /**
   * Appends a line.
   *
   * @throws UsageException if the file is not ours
   */
  public void add(String text) {
    try (DiskFile notes = Beside.open(file, ANY)) {
      lines(notes.start(MAX_BYTES));
      notes.append(ByteBuffer.wrap((text + "\n").getBytes(StandardCharsets.UTF_8)));
    } catch (IOException e) {
      // A read-only place: nothing is remembered.
      return;
    }
  }

  private List<String> lines(byte[] bytes) {
    List<String> lines = new String(bytes, StandardCharsets.UTF_8).lines().toList();
    if (!lines.stream().allMatch(line.asMatchPredicate())) {
      throw Beside.foreign(file, "a file of something else");
    }
    return lines;
  }
}

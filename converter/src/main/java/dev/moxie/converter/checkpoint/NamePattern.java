package dev.moxie.converter.checkpoint;

import dev.moxie.format.error.UnsupportedException;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** A pattern that somebody wrote, held against names and never without end. */
public final class NamePattern {
  /** Letters that a search may look at; one that needs more goes round in circles. */
  private static final int MOST_LOOKS = 100_000;

  private final String where;
  private final String text;
  private final Pattern pattern;

  /**
   * Reads a pattern.
   *
   * @param where it is written, for messages
   * @throws IllegalArgumentException if it is none
   */
  public NamePattern(String where, String text) {
    this.where = where;
    this.text = text;
    try {
      this.pattern = Pattern.compile(text);
    } catch (PatternSyntaxException e) {
      throw new IllegalArgumentException("\"" + text + "\", which is no pattern", e);
    }
  }

  /** Whether a name begins with something that is like it. */
  public boolean begins(String name) {
    return pattern.matcher(new Watched(name)).lookingAt();
  }

  /** Whether all of a name is like it. */
  public boolean matches(String name) {
    return pattern.matcher(new Watched(name)).matches();
  }

  /** A name that is not looked at without end. */
  private final class Watched implements CharSequence {
    private final String name;
    private int looks;

    Watched(String name) {
      this.name = name;
    }

    @Override
    public int length() {
      return name.length();
    }

    @Override
    public char charAt(int index) {
      if (looks++ > MOST_LOOKS) {
        throw new UnsupportedException(
            where,
            "patterns that are soon decided",
            "\"" + text + "\", which is not on " + name,
            "write it without repetitions inside repetitions");
      }
      return name.charAt(index);
    }

    @Override
    public CharSequence subSequence(int start, int end) {
      return name.substring(start, end);
    }

    @Override
    public String toString() {
      return name;
    }
  }
}

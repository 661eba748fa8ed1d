package dev.moxie.format.text;

import java.util.Locale;
import java.util.StringJoiner;
import org.jspecify.annotations.Nullable;

/** A text for a person, line by line; each is a {@link Line}. */
public final class Lines {
  private final StringJoiner lines = new StringJoiner("\n");

  /** Appends one line, with digits and decimal points as programs expect them. */
  public void add(String format, @Nullable Object... arguments) {
    lines.add(Line.of(String.format(Locale.ROOT, format, arguments)));
  }

  @Override
  public String toString() {
    return lines.toString();
  }
}

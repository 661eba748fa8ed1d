package dev.moxie.converter.adapter;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.checkpoint.NamePattern;
import java.util.Locale;
import java.util.regex.Pattern;

/** Names of modules as an adapter_config.json writes them down, in Python's regular expressions. */
final class Names {
  /** What Python and Java understand alike. */
  private static final Pattern ALIKE =
      Pattern.compile(
          "(?:[\\w/: -]|\\\\[.dw-]|[.^$|*+?()]|\\(\\?:|\\{\\d+(?:,\\d*)?}|\\[\\^?[\\w. -]+])*");

  private static final int LONGEST = 4096;

  private final NamePattern pattern;

  private Names(NamePattern pattern) {
    this.pattern = pattern;
  }

  /** All of a name is like the pattern. */
  static Names like(Config config, String key, String text) {
    if (text.length() > LONGEST || !ALIKE.matcher(text).matches()) {
      throw config.unsupported(
          key, "patterns of letters, dots, groups and repetitions", "\"" + text + "\"");
    }
    String where = "%s, key \"%s\"".formatted(config.where(), key);
    return new Names(config.derive(() -> new NamePattern(where, text)));
  }

  /** A name is like the pattern, or ends in a dot and what is. */
  static Names endingIn(Config config, String key, String text) {
    like(config, key, text);
    return like(config, key, String.format(Locale.ROOT, "(.*\\.)?(%s)$", text));
  }

  boolean matches(String name) {
    return pattern.matches(name);
  }
}

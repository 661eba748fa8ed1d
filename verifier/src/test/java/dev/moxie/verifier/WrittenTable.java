package dev.moxie.verifier;

import dev.moxie.fixtures.Drawn;
import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Tables in README.md that tests write: {@code -Dmoxie.regenerate=true} makes every row and writes
 * them anew. Otherwise a test makes some of them, which are held to those that are written.
 */
final class WrittenTable {
  private final String name;
  private final String readme;
  private final int from;
  private final int to;

  private WrittenTable(String name, String readme) {
    this.name = name;
    this.readme = readme;
    String begin = "<!-- " + name + ", written by a test -->\n";
    from = readme.indexOf(begin) + begin.length();
    to = readme.indexOf("<!-- end of the " + name + " -->\n");
  }

  /** Whether all is made and written anew. */
  static boolean isWritten() {
    return Boolean.getBoolean("moxie.regenerate");
  }

  /** What a test makes of all that a table is of: the part that is drawn, where none is written. */
  static <T> List<T> drawn(String name, List<T> all) {
    return isWritten() ? all : Drawn.of(name, all);
  }

  /** The table between the two comments of a name. */
  static WrittenTable of(String name) throws IOException {
    return new WrittenTable(name, Files.readString(path()));
  }

  private static Path path() {
    return Fixtures.root().getParent().resolve("verifier/README.md");
  }

  /** The same table with other rows, in README.md as well. */
  WrittenTable written(String table) throws IOException {
    String text = readme.substring(0, from) + table + readme.substring(to);
    Files.writeString(path(), text);
    return new WrittenTable(name, text);
  }

  /** The cells of a row, of which the first is given. */
  List<String> row(String first) {
    String begin = "| " + first + " |";
    String row =
        readme
            .substring(from, to)
            .lines()
            .filter(line -> line.startsWith(begin))
            .findFirst()
            .orElseThrow(() -> new AssertionError("the " + name + " has no row of " + first));
    return Stream.of(row.substring(1, row.length() - 1).split("(?<!\\\\)\\|"))
        .map(String::strip)
        .toList();
  }
}

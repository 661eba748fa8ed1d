package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Tables in README.md that tests write: {@code -Dmoxie.regenerate=true} writes them anew. */
final class WrittenTable {
  private WrittenTable() {}

  /** Holds the table between the two comments of a name to what came out. */
  static void require(String name, String table) throws IOException {
    Path readme = Fixtures.root().getParent().resolve("verifier/README.md");
    String text = Files.readString(readme);
    String begin = "<!-- " + name + ", written by a test -->\n";
    int from = text.indexOf(begin) + begin.length();
    int to = text.indexOf("<!-- end of the " + name + " -->\n");
    if (Boolean.getBoolean("moxie.regenerate")) {
      Files.writeString(readme, text.substring(0, from) + table + text.substring(to));
    } else {
      assertEquals(text.substring(from, to), table);
    }
  }
}

package dev.moxie.house;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.google.googlejavaformat.java.Formatter;
import dev.moxie.fixtures.Fixtures;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * google-java-format holds for every source file. It runs here, on JDK 25, because a Maven plugin
 * would run it in Maven's own JVM, whose older compiler cannot parse our sources. {@code mvn verify
 * -Dmoxie.reformat=true} rewrites the files instead.
 */
class FormattingTest {
  private static final Path PROJECT = Fixtures.root().getParent();
  private static final boolean REFORMAT = Boolean.getBoolean("moxie.reformat");

  @Test
  void everySourceFileIsFormatted() throws Exception {
    List<Path> sources = sources();
    assertFalse(sources.isEmpty());
    List<String> unformatted = new ArrayList<>();
    for (Path source : sources) {
      String text = Files.readString(source);
      String formatted = new Formatter().formatSourceAndFixImports(text);
      if (!text.equals(formatted)) {
        unformatted.add(PROJECT.relativize(source).toString());
        if (REFORMAT) {
          Files.writeString(source, formatted);
        }
      }
    }
    assertEquals(
        List.of(),
        REFORMAT ? List.of() : unformatted,
        "rewrite them with mvn verify -Dmoxie.reformat=true");
  }

  private static List<Path> sources() throws Exception {
    try (Stream<Path> files = Files.walk(PROJECT)) {
      return files
          .filter(file -> file.toString().endsWith(".java"))
          .filter(file -> !file.toString().contains("/target/"))
          .sorted()
          .toList();
    }
  }
}

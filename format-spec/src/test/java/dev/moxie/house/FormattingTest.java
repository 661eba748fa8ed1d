package dev.moxie.house;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.google.googlejavaformat.java.Formatter;
import com.google.googlejavaformat.java.FormatterException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * google-java-format holds for every source file of every module. It runs here, in the first module
 * and before its other tests, on JDK 25: a Maven plugin would run it in Maven's own JVM, whose
 * older compiler cannot parse our sources. {@code mvn process-test-classes -pl format-spec
 * -Dmoxie.reformat=true} rewrites the files instead.
 */
@Tag("house")
class FormattingTest {
  private static final Path PROJECT = Path.of("..").toAbsolutePath().normalize();
  private static final boolean REFORMAT = Boolean.getBoolean("moxie.reformat");

  @Test
  void everySourceFileIsFormatted() throws Exception {
    List<Path> sources = sources();
    assertFalse(sources.isEmpty());
    List<Path> unformatted =
        sources.parallelStream().filter(source -> !isFormatted(source)).toList();
    assertEquals(
        List.of(),
        REFORMAT ? List.of() : unformatted.stream().map(PROJECT::relativize).toList(),
        "rewrite them with mvn process-test-classes -pl format-spec -Dmoxie.reformat=true");
  }

  private static boolean isFormatted(Path source) {
    try {
      String text = Files.readString(source);
      String formatted = new Formatter().formatSourceAndFixImports(text);
      if (REFORMAT && !text.equals(formatted)) {
        Files.writeString(source, formatted);
      }
      return text.equals(formatted);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (FormatterException e) {
      throw new AssertionError(source + ": " + e.getMessage(), e);
    }
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

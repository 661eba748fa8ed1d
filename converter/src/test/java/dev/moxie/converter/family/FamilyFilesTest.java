package dev.moxie.converter.family;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** A family is one short file. */
class FamilyFilesTest {
  private static final int MOST_LINES = 60;

  private static final Path SOURCES =
      Fixtures.root()
          .resolveSibling("converter/src/main/java")
          .resolve(Families.class.getPackageName().replace('.', '/'));

  /** The files that make a family. */
  private static List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(SOURCES)) {
      return files
          .filter(file -> lines(file).anyMatch(line -> line.strip().startsWith("new Family(")))
          .sorted()
          .toList();
    }
  }

  private static Stream<String> lines(Path file) {
    try {
      return Files.readAllLines(file).stream();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void everyFamilyHasAFileOfItsOwn() throws IOException {
    assertEquals(Families.ALL.size(), files().size(), files().toString());
  }

  @Test
  void noneIsLongerThanAScreenCommentsIncluded() throws IOException {
    for (Path file : files()) {
      long lines =
          lines(file)
              .filter(line -> !line.isBlank() && !line.matches("(package|import) .*"))
              .count();
      assertTrue(lines <= MOST_LINES, file.getFileName() + ": " + lines + " lines");
    }
  }
}

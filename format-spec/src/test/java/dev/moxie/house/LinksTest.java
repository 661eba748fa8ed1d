package dev.moxie.house;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Links between the documents lead somewhere: to a file, and to a heading where they name one. */
@Tag("house")
class LinksTest {
  private static final Path PROJECT = Path.of("..").toAbsolutePath().normalize();
  private static final Pattern LINK = Pattern.compile("\\]\\(([^)\\s]+)\\)");
  private static final Pattern CODE = Pattern.compile("(?s)```.*?```|`[^`\\n]*`");
  private static final Pattern HEADING = Pattern.compile("(?m)^#+ +(.*)$");

  @Test
  void everyLinkBetweenDocumentsLeadsSomewhere() throws Exception {
    List<String> dead = new ArrayList<>();
    for (Path document : documents()) {
      dead.addAll(dead(document));
    }
    assertEquals(List.of(), dead);
  }

  @Test
  void aDeadLinkIsFound(@TempDir Path folder) throws Exception {
    Path document = folder.resolve("a.md");
    Files.writeString(
        document, "# What it is\n[a](a.md#what-it-is) [b](b.md) `[c](c.md)` [d](#nowhere)\n");
    assertEquals(List.of("a.md: b.md", "a.md: #nowhere"), dead(document));
  }

  private static List<String> dead(Path document) throws Exception {
    List<String> dead = new ArrayList<>();
    Matcher link = LINK.matcher(prose(document));
    while (link.find()) {
      String target = link.group(1);
      String file = target.replaceFirst("#.*", "");
      Path path = file.isEmpty() ? document : document.resolveSibling(file);
      boolean leads =
          target.matches("https?:.*")
              || Files.exists(path)
                  && (!target.contains("#")
                      || anchors(path).contains(target.replaceFirst(".*#", "")));
      if (!leads) {
        dead.add(document.getFileName() + ": " + target);
      }
    }
    return dead;
  }

  private static String prose(Path document) throws Exception {
    return CODE.matcher(Files.readString(document)).replaceAll("");
  }

  private static List<String> anchors(Path document) throws Exception {
    return HEADING
        .matcher(Files.readString(document))
        .results()
        .map(heading -> heading.group(1).toLowerCase(Locale.ROOT))
        .map(heading -> heading.replaceAll("[^\\p{L}\\p{N} _-]", "").replace(' ', '-'))
        .toList();
  }

  private static List<Path> documents() throws Exception {
    try (Stream<Path> files = Files.walk(PROJECT)) {
      List<Path> documents =
          files
              .filter(file -> file.toString().endsWith(".md"))
              .filter(file -> !file.toString().contains("/target/"))
              .sorted()
              .toList();
      assertTrue(documents.contains(PROJECT.resolve("README.md")));
      return documents;
    }
  }
}

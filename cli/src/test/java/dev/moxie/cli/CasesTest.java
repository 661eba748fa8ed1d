package dev.moxie.cli;

import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import dev.moxie.fixtures.Drawn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Small inputs that public reports and mutation led to, and what must come of each. The table of
 * what did goes to {@code target/cases.txt}; launcher-cases.sh has those that need the launcher.
 */
class CasesTest {
  private static final int WIDTH = 160;
  private static final Queue<String> TABLE = new ConcurrentLinkedQueue<>();

  @TempDir static Path root;

  @TestFactory
  Stream<DynamicTest> everyCaseEndsAsExpected() {
    List<Case> all =
        Stream.of(CheckpointCases.all(), FileCases.all(), OutputCases.all(), PackageCases.all())
            .flatMap(List::stream)
            .toList();
    return Drawn.of("cases", all).stream()
        .map(each -> dynamicTest(each.kind() + ": " + each.input(), () -> run(each)));
  }

  private static void run(Case each) throws Exception {
    Path folder = Files.createTempDirectory(root, "case");
    try {
      each.check().in(new Workbench(folder));
      line(each, "as expected", "ok");
    } catch (Throwable e) {
      String found = e instanceof AssertionError ? String.valueOf(e.getMessage()) : e.toString();
      line(each, found.replace(folder.toString(), "…"), "NOT OK");
      throw e;
    }
  }

  private static void line(Case each, String found, String verdict) {
    String line = found.replaceAll("[\\p{Cntrl}]", "?");
    TABLE.add(
        "%s | %s | %s | %s | %s"
            .formatted(
                each.kind(),
                each.input().replaceAll("[\\p{Cntrl}]", "?"),
                each.expected(),
                line.length() > WIDTH ? line.substring(0, WIDTH) + "…" : line,
                verdict));
  }

  @AfterAll
  static void printTable() throws IOException {
    String table = "case | input | expected | found | ok\n" + String.join("\n", TABLE) + "\n";
    Files.writeString(Files.createDirectories(Path.of("target")).resolve("cases.txt"), table);
    System.out.println(table);
  }
}

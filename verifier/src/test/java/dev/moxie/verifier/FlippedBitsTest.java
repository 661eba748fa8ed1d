package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.TextReport;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;

/** Any single flipped bit in any file of a package is found, and named. */
class FlippedBitsTest {
  private static Path folder;
  private static Path pack;
  private static List<Path> files;
  private static List<IndexRow> rows;

  record Flip(int file, long position, int bit) {}

  @BeforeContainer
  static void convert() throws IOException {
    folder = Files.createTempDirectory("moxie-flips");
    pack = Packages.convert(Fixtures.randomMixtrals().get(2), folder.resolve("p"));
    try (Stream<Path> walk = Files.walk(pack)) {
      files = walk.filter(Files::isRegularFile).sorted().toList();
    }
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      rows = opened.rows();
    }
    assertEquals(Verdict.PASS, verify().verdict());
  }

  @AfterContainer
  static void delete() throws IOException {
    try (Stream<Path> walk = Files.walk(folder)) {
      walk.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
    }
  }

  @Provide
  Arbitrary<Flip> flips() {
    return Combinators.combine(
            Arbitraries.integers().between(0, files.size() - 1).withoutEdgeCases(),
            Arbitraries.longs().between(0, 1L << 40),
            Arbitraries.integers().between(0, 7))
        .as((file, position, bit) -> new Flip(file, position % size(files.get(file)), bit));
  }

  @Property(tries = 400)
  void isFoundAndNamed(@ForAll("flips") Flip flip) throws IOException {
    Path file = files.get(flip.file());
    flip(file, flip);
    try {
      String said;
      try {
        Report report = verify();
        assertEquals(Verdict.FAIL, report.verdict());
        said = TextReport.of(report);
      } catch (InvalidInputException e) {
        said = e.getMessage();
      }
      String text = said;
      assertTrue(text.contains(pack.relativize(file).toString()), text);
      leafAt(file, flip.position())
          .ifPresent(row -> assertTrue(text.contains(row.describe()), text));
    } finally {
      flip(file, flip);
    }
  }

  private static Optional<IndexRow> leafAt(Path file, long position) {
    return rows.stream()
        .filter(IndexRow::isLeaf)
        .filter(row -> row.shard().equals(file.getFileName().toString()))
        .filter(row -> row.offset() <= position && position < row.offset() + row.bytes())
        .findFirst();
  }

  private static Report verify() {
    return Verifier.verify(pack, null, List.of(), Execution.of(Device.CPU));
  }

  private static void flip(Path file, Flip flip) throws IOException {
    try (var access = new RandomAccessFile(file.toFile(), "rw")) {
      access.seek(flip.position());
      int old = access.read();
      access.seek(flip.position());
      access.write(old ^ (1 << flip.bit()));
    }
  }

  private static long size(Path file) {
    return file.toFile().length();
  }
}

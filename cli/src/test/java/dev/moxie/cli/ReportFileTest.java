package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportFileTest {
  @TempDir Path folder;
  private Path pack;

  @BeforeEach
  void makePackage() throws IOException {
    pack = Files.createDirectory(folder.resolve("pack"));
    Files.createFile(pack.resolve("moxie.json"));
  }

  private ReportFile open(Path path) {
    return ReportFile.open(path, "<html>");
  }

  @Test
  void foldersAreMadeAndNothingIsThereBeforeItIsWhole() throws IOException {
    Path path = folder.resolve("a/b/report.html");
    ReportFile file = open(path);
    assertFalse(Files.exists(path));
    file.write("<html>1");
    assertEquals("<html>1", Files.readString(path));
    assertEquals(List.of(path), list(path.getParent()));
  }

  @Test
  void anEarlierReportAndAnEmptyFileAreReplaced() throws IOException {
    Path path = Files.createFile(folder.resolve("summary"));
    open(path).write("<html>1");
    open(path).write("<html>2");
    assertEquals("<html>2", Files.readString(path));
  }

  @Test
  void nothingElseIsReplaced() throws IOException {
    Path weights = Files.writeString(folder.resolve("model.safetensors"), "weights");
    assertThrows(UsageException.class, () -> open(weights));
    Path shorter = Files.writeString(folder.resolve("shorter"), "<htm");
    assertThrows(UsageException.class, () -> open(shorter));
    assertThrows(UsageException.class, () -> open(folder));
    Path nowhere = Files.createSymbolicLink(folder.resolve("link"), folder.resolve("nowhere"));
    assertThrows(UsageException.class, () -> open(nowhere));
    assertThrows(UsageException.class, () -> open(Path.of("/")));
    if (Files.exists(Path.of("/dev/null"))) {
      assertThrows(UsageException.class, () -> open(Path.of("/dev/null")));
    }
    assertEquals("weights", Files.readString(weights));
  }

  @Test
  void noReportGoesIntoThePackageByAnyWay() throws IOException {
    assertThrows(UsageException.class, () -> open(pack.resolve("report.html")));
    assertThrows(UsageException.class, () -> open(folder.resolve("x/../pack/report.html")));
    Path link = Files.createSymbolicLink(folder.resolve("link"), pack);
    assertThrows(UsageException.class, () -> open(link.resolve("report.html")));
    assertThrows(UsageException.class, () -> open(pack.resolve("new/report.html")));
    assertEquals(List.of(pack.resolve("moxie.json")), list(pack));
  }

  @Test
  void aLinkToAnEarlierReportStaysALink() throws IOException {
    Path path = Files.writeString(folder.resolve("real.html"), "<html>1");
    Path link = Files.createSymbolicLink(folder.resolve("latest.html"), path);
    open(link).write("<html>2");
    assertTrue(Files.isSymbolicLink(link));
    assertEquals("<html>2", Files.readString(path));
  }

  @Test
  void whereNoFolderCanBeTheEnvironmentIsAtFaultAndNamesThePath() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "x");
    Path path = file.resolve("report.html");
    var failure = assertThrows(EnvironmentException.class, () -> open(path));
    assertTrue(failure.getMessage().startsWith(path.toString()), failure.getMessage());
  }

  @Test
  void whatAppearsWhileTheReportIsMadeIsNotReplaced() throws IOException {
    Path path = folder.resolve("report.html");
    ReportFile file = open(path);
    Files.writeString(path, "weights");
    assertThrows(UsageException.class, () -> file.write("<html>1"));
    assertEquals("weights", Files.readString(path));
  }

  @Test
  void aWriteThatFailsLeavesNothingBehind() throws IOException {
    Path path = folder.resolve("r/report.html");
    ReportFile file = open(path);
    Files.delete(path.getParent());
    assertThrows(UsageException.class, () -> file.write("<html>1"));
    Files.createDirectories(path.resolve("occupied"));
    assertThrows(UsageException.class, () -> file.write("<html>1"));
    assertEquals(List.of(path), list(path.getParent()));
  }

  private static List<Path> list(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      return files.toList();
    }
  }
}

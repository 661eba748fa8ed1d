package dev.moxie.format.file;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** The one rule of what lies beside a target; the command line's tests hold every verb to it. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BesideTest {
  private static final Signature OURS = Signature.of("ours ");
  private static final Pattern LINE = Pattern.compile("[0-9]+ .+");

  @TempDir Path folder;
  private Path path = Path.of("");
  private Path precious = Path.of("");

  @BeforeEach
  void paths() throws IOException {
    path = Beside.path(folder.resolve("p"), "thing");
    precious = Files.writeString(folder.resolve("precious"), "ours or not, the only copy");
  }

  private void assertRefused(String found) throws IOException {
    for (var attempt :
        List.<Executable>of(
            () -> Beside.open(path, OURS),
            () -> Beside.openAlone(path, OURS, folder.resolve("p")),
            () -> Beside.read(path, OURS, 1000),
            () -> new Notes(folder.resolve("p"), "thing", LINE).add("1 x"),
            () -> new Notes(folder.resolve("p"), "thing", LINE).contain("1 x"))) {
      String message = assertThrows(UsageException.class, attempt).getMessage();
      assertTrue(message.contains(path + ": ") && message.contains(found), message);
    }
    assertEquals("ours or not, the only copy", Files.readString(precious));
    assertFalse(Files.exists(folder.resolve("nowhere")));
  }

  @Test
  void linksAreNeitherFollowedNorFilled() throws IOException {
    Files.createSymbolicLink(path, precious);
    assertRefused("a link");
    Files.delete(path);
    Files.createSymbolicLink(path, folder.resolve("nowhere"));
    assertRefused("a link");
  }

  @Test
  void aSecondNameOfAFileIsNotOursWhateverItSays() throws IOException {
    Files.createLink(path, precious);
    assertRefused("hard link");
  }

  @Test
  void foldersAndPipesAreRefusedWithoutWaiting() throws Exception {
    Files.createDirectory(path);
    assertRefused("a folder");
    Files.delete(path);
    assertEquals(0, new ProcessBuilder("mkfifo", path.toString()).start().waitFor());
    assertRefused("a pipe");
  }

  @Test
  void aFileOfSomethingElseIsNotTouched() throws IOException {
    Files.writeString(path, "theirs");
    assertRefused("a file of something else");
    assertEquals("theirs", Files.readString(path));
  }

  @Test
  void anOpenPipeInThePlaceOfAFileDoesNotWaitForItsOtherEnd() throws Exception {
    assertEquals(0, new ProcessBuilder("mkfifo", path.toString()).start().waitFor());
    // As Beside opens what it has looked at, and what may have been exchanged since.
    try (var channel =
        FileChannel.open(
            path, StandardOpenOption.READ, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS)) {
      assertTrue(channel.isOpen());
    }
  }

  @Test
  void notesAreRememberedLineByLine() throws IOException {
    var notes = new Notes(folder.resolve("p"), "thing", LINE);
    assertFalse(notes.contain("1 x"));
    notes.add("1 x");
    notes.add("2 y");
    assertTrue(notes.contain("1 x") && notes.contain("2 y"));
    assertFalse(notes.contain("3 z"));
    assertEquals("1 x\n2 y\n", Files.readString(path));
  }

  @Test
  void onlyOneAtATimeHasAFile() throws IOException {
    try (DiskFile file = Beside.openAlone(path, OURS, folder.resolve("p"))) {
      assertTrue(file.isOpen());
      String message =
          assertThrows(
                  UsageException.class, () -> Beside.openAlone(path, OURS, folder.resolve("p")))
              .getMessage();
      assertTrue(message.contains("another command"), message);
    }
    Beside.openAlone(path, OURS, folder.resolve("p")).close();
  }

  @Test
  void aFolderIsNotMadeWhereSomethingElseIsInTheWay() throws IOException {
    Path link = Files.createSymbolicLink(folder.resolve("link"), folder.resolve("nowhere"));
    for (Path above : List.of(link, precious)) {
      String message =
          assertThrows(FileSystemException.class, () -> Disk.createFolders(above.resolve("p")))
              .getMessage();
      assertTrue(message.startsWith(above + ": "), message);
    }
    assertFalse(Files.exists(folder.resolve("nowhere")));
  }
}

package dev.moxie.format.file;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StagedFileTest {
  @TempDir Path folder;

  @Test
  void appearsWhenFinishedAndNotBefore() throws IOException {
    Path target = folder.resolve("r");
    try (StagedFile file = StagedFile.create(target, path -> false)) {
      file.stream().write(new byte[] {1, 2});
      assertFalse(Files.exists(target));
      file.finish();
    }
    assertEquals(List.of(target), files());
    assertEquals(2, Files.size(target));
  }

  @Test
  void leavesNothingUnfinished() throws IOException {
    try (StagedFile file = StagedFile.create(folder.resolve("r"), path -> false)) {
      file.stream().write(new byte[1000]);
      assertEquals(1, files().size());
    }
    assertEquals(List.of(), files());
  }

  @Test
  void whatAKilledRunLeftIsWrittenOver() throws IOException {
    Path target = folder.resolve("r");
    Files.write(folder.resolve(".r.moxie-partial"), new byte[1000]);
    try (StagedFile file = StagedFile.create(target, path -> false)) {
      file.stream().write(7);
      file.finish();
    }
    assertEquals(List.of(target), files());
    assertEquals(1, Files.size(target));
  }

  @Test
  void replacesWhatItMayAndNothingElse() throws IOException {
    Path target = Files.writeString(folder.resolve("r"), "before");
    assertThrows(UsageException.class, () -> StagedFile.create(target, path -> false));
    assertEquals("before", Files.readString(target));
    try (StagedFile file = StagedFile.create(target, path -> true)) {
      assertEquals("before", Files.readString(target));
      file.finish();
    }
    assertEquals("", Files.readString(target));
    assertThrows(UsageException.class, () -> StagedFile.create(folder, path -> true));
    Path nowhere = Files.createSymbolicLink(folder.resolve("link"), folder.resolve("gone"));
    assertThrows(UsageException.class, () -> StagedFile.create(nowhere, path -> true));
    assertThrows(
        UsageException.class, () -> StagedFile.create(folder.resolve("no/r"), path -> true));
  }

  @Test
  void twoCannotWriteTheSameFile() throws IOException {
    Path target = folder.resolve("r");
    try (StagedFile file = StagedFile.create(target, path -> false)) {
      file.stream().write(7);
      assertThrows(UsageException.class, () -> StagedFile.create(target, path -> false));
      file.finish();
    }
    assertEquals(1, Files.size(target));
  }

  @Test
  void whatAppearsMeanwhileIsNotReplaced() throws IOException {
    Path target = folder.resolve("r");
    try (StagedFile file = StagedFile.create(target, path -> false)) {
      file.stream().write(7);
      Files.writeString(target, "somebody's");
      assertThrows(UsageException.class, file::finish);
    }
    assertEquals("somebody's", Files.readString(target));
    assertEquals(List.of(target), files());
  }

  @Test
  void aFileThatWasFinishedBetweenOpeningAndLockingIsNotTruncated() throws IOException {
    Path target = folder.resolve("r");
    Path temporary = Files.writeString(folder.resolve(".r.moxie-partial"), "finished");
    try (FileChannel late = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
      Files.move(temporary, target);
      assertThrows(UsageException.class, () -> StagedFile.requireAlone(target, temporary, late));
      assertFalse(late.isOpen());
    }
    assertEquals("finished", Files.readString(target));
  }

  @Test
  void aPlaceHasNoLinksInItHoweverItIsWritten() throws IOException {
    Path real = Files.createDirectory(folder.toRealPath().resolve("real"));
    Path link = Files.createSymbolicLink(folder.resolve("link"), real);
    for (Path path :
        List.of(
            real.resolve("r"),
            link.resolve("r"),
            folder.resolve("none/../link/r"),
            link.resolve("none/../../link/r"),
            link.resolve("../real/r"))) {
      assertEquals(real.resolve("r"), StagedFile.place(path), path.toString());
    }
    assertEquals(real.resolve("a/b"), StagedFile.place(link.resolve("a/b")));
    Path file = Files.createFile(real.resolve("f"));
    Path latest = Files.createSymbolicLink(folder.resolve("latest"), file);
    assertEquals(file, StagedFile.place(latest));
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> list = Files.list(folder)) {
      return list.toList();
    }
  }
}

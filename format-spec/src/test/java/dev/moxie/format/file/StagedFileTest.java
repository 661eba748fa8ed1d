package dev.moxie.format.file;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StagedFileTest {
  private static final Signature RESULT = Signature.of("result ");

  @TempDir Path folder;

  private static void write(Path target, String text) throws IOException {
    try (StagedFile file = StagedFile.create(target, RESULT)) {
      file.stream().write(text.getBytes(StandardCharsets.UTF_8));
      file.finish();
    }
  }

  @Test
  void appearsWhenFinishedAndNotBefore() throws IOException {
    Path target = folder.resolve("r");
    try (StagedFile file = StagedFile.create(target, RESULT)) {
      file.stream().write(new byte[] {1, 2});
      assertFalse(Files.exists(target));
      file.finish();
    }
    assertEquals(List.of(target), files());
    assertEquals(2, Files.size(target));
  }

  @Test
  void aDiskThatIsFullIsNamedByTheFileThatItHasNoRoomFor() throws IOException {
    Path full = Path.of("/dev/full");
    Assumptions.assumeTrue(Files.isWritable(full), "no device that is always full");
    try (var channel = FileChannel.open(full, StandardOpenOption.WRITE);
        var file = new DiskFile(full, channel, null)) {
      FileSystemException lost =
          assertThrows(
              FileSystemException.class, () -> file.write(ByteBuffer.wrap(new byte[] {1})));
      assertEquals("/dev/full", lost.getFile());
    }
  }

  @Test
  void leavesNothingUnfinished() throws IOException {
    try (StagedFile file = StagedFile.create(folder.resolve("r"), RESULT)) {
      file.stream().write(new byte[1000]);
      assertEquals(1, files().size());
    }
    assertEquals(List.of(), files());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "res", "result ", "result of a run that was killed"})
  void whatAKilledRunLeftIsWrittenOver(String left) throws IOException {
    Path target = folder.resolve("r");
    Files.writeString(folder.resolve(".r.moxie-partial"), left);
    write(target, "result");
    assertEquals(List.of(target), files());
    assertEquals("result", Files.readString(target));
  }

  @Test
  void replacesItsOwnKindAndNothingElse() throws IOException {
    Path target = Files.writeString(folder.resolve("r"), "before");
    assertThrows(UsageException.class, () -> StagedFile.create(target, RESULT));
    assertEquals("before", Files.readString(target));
    for (String before : List.of("", "result 1", "result 2")) {
      Files.writeString(target, before);
      write(target, "result 3");
      assertEquals("result 3", Files.readString(target));
    }
    assertThrows(UsageException.class, () -> StagedFile.create(folder, RESULT));
    Path nowhere = Files.createSymbolicLink(folder.resolve("link"), folder.resolve("gone"));
    assertThrows(UsageException.class, () -> StagedFile.create(nowhere, RESULT));
    assertThrows(UsageException.class, () -> StagedFile.create(folder.resolve("no/r"), RESULT));
  }

  @Test
  void twoCannotWriteTheSameFile() throws IOException {
    Path target = folder.resolve("r");
    try (StagedFile file = StagedFile.create(target, RESULT)) {
      file.stream().write(7);
      assertThrows(UsageException.class, () -> StagedFile.create(target, RESULT));
      file.finish();
    }
    assertEquals(1, Files.size(target));
  }

  @Test
  void whatAppearsMeanwhileIsNotReplaced() throws IOException {
    Path target = folder.resolve("r");
    try (StagedFile file = StagedFile.create(target, RESULT)) {
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
    Path temporary = Files.writeString(folder.resolve(".r.moxie-partial"), "result");
    try (DiskFile late = Beside.open(temporary, RESULT)) {
      Files.move(temporary, target);
      assertThrows(UsageException.class, () -> Beside.requireAlone(late, target));
      Files.writeString(temporary, "result of the next");
      assertThrows(UsageException.class, () -> Beside.requireAlone(late, target));
    }
    assertEquals("result", Files.readString(target));
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

package dev.moxie.converter.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a package takes along of a checkpoint whose files are links. */
class LinksTest {
  private static final Path RELEASE = Fixtures.root().resolve("variants/f16-tied");

  @TempDir Path folder;

  /** Puts the release's files elsewhere, and links to them into the checkpoint. */
  private Path linked(Path checkpoint, Path elsewhere) throws IOException {
    Files.createDirectories(checkpoint);
    Files.createDirectories(elsewhere);
    try (Stream<Path> files = Files.list(RELEASE)) {
      for (Path file : files.toList()) {
        Path there = elsewhere.resolve("blob-of-" + file.getFileName());
        Files.copy(file, there);
        Files.createSymbolicLink(checkpoint.resolve(file.getFileName()), there);
      }
    }
    return checkpoint;
  }

  private static List<String> companions(Path checkpoint) {
    return Checkpoint.open(checkpoint).companions();
  }

  @Test
  void weightsAndKnownFilesMayLieOnAnotherDisk() throws IOException {
    Path checkpoint = linked(folder.resolve("c"), folder.resolve("disk"));
    Checkpoint opened = Checkpoint.open(checkpoint);
    assertEquals(List.of("config.json", "generation_config.json"), opened.companions());
    // It is of no use to a model, and might be anything.
    assertEquals(
        List.of("trace.safetensors"), opened.left().stream().map(LeftBehind::name).toList());
  }

  @Test
  void everythingInTheSameEntryOfAHubCacheIsTakenAlong() throws IOException {
    Path entry = folder.resolve("models--a--b");
    Path checkpoint = linked(entry.resolve("snapshots/1234"), entry.resolve("blobs"));
    Files.createSymbolicLink(folder.resolve("cache"), entry);
    for (Path way : List.of(checkpoint, folder.resolve("cache/snapshots/1234"))) {
      assertEquals(companions(RELEASE), companions(way));
      assertEquals(List.of(), Checkpoint.open(way).left());
    }
    Files.writeString(folder.resolve("models--a--b/secret"), "x");
    Files.createSymbolicLink(checkpoint.resolve("README.md"), entry.resolve("secret"));
    assertEquals(companions(RELEASE), companions(checkpoint));
  }

  @Test
  void aLinkToSomebodysFileIsLeftBehindAndNamed() throws IOException {
    Path checkpoint = Files.createDirectory(folder.resolve("c"));
    try (Stream<Path> files = Files.list(RELEASE)) {
      for (Path file : files.toList()) {
        Files.copy(file, checkpoint.resolve(file.getFileName()));
      }
    }
    Path secret = Files.writeString(folder.resolve("secret"), "x");
    Files.createDirectory(checkpoint.resolve("docs"));
    for (String link : List.of("NOTICE", "docs/a", "docs/config.json")) {
      Files.createSymbolicLink(checkpoint.resolve(link), secret);
    }
    Files.createSymbolicLink(checkpoint.resolve("LICENSE"), Path.of("config.json"));
    Files.createSymbolicLink(checkpoint.resolve("gone"), folder.resolve("nowhere"));
    Files.createSymbolicLink(checkpoint.resolve("folder"), folder);
    Checkpoint opened = Checkpoint.open(checkpoint);
    assertEquals(
        List.of(
            "NOTICE (a link that leads out of the folder)",
            "docs/a (a link that leads out of the folder)",
            "docs/config.json (a link that leads out of the folder)",
            "folder (a link to a folder)",
            "gone (a link to nothing)"),
        opened.left().stream().map(LeftBehind::toString).toList());
    assertEquals(
        List.of("LICENSE", "config.json", "generation_config.json", "trace.safetensors"),
        opened.companions());
  }
}

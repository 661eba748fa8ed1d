package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.EnvironmentException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** A package that another takes the place of while it is read is not damaged. */
class ReplacedPackageTest {
  @TempDir Path folder;
  private Path pack;

  @BeforeEach
  void write() {
    pack = folder.resolve("p");
    TinyPackage.write(pack);
  }

  private void replaceBy(Path other) throws IOException {
    Files.move(pack, folder.resolve("old"));
    Files.move(other, pack);
  }

  private static void assertChanged(Executable read) {
    String message = String.valueOf(assertThrows(EnvironmentException.class, read).getMessage());
    assertTrue(message.contains("changed while it was read"), message);
  }

  @Test
  void oneOfAnotherModelIsNoCorruption() throws IOException {
    TinyPackage.writeLatent(folder.resolve("q"));
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      assertDoesNotThrow(opened::requireUnchanged);
      replaceBy(folder.resolve("q"));
      assertChanged(() -> opened.shard(opened.manifest().shards().getFirst().file()));
      assertChanged(opened::requireUnchanged);
    }
  }

  @Test
  void oneOfTheVerySameBytesIsSeenToo() throws IOException {
    TinyPackage.write(folder.resolve("q"));
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      replaceBy(folder.resolve("q"));
      assertChanged(opened::requireUnchanged);
    }
  }

  @Test
  void theMomentBetweenTwoPackagesIsNoCorruption() throws IOException {
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      Files.move(pack, folder.resolve("old"));
      assertChanged(() -> opened.shard(opened.manifest().shards().getLast().file()));
      assertChanged(opened::requireUnchanged);
    }
  }

  @Test
  void aDamagedShardOfAPackageThatStaysIsCorrupt() throws IOException {
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      String shard = opened.manifest().shards().getLast().file();
      Files.delete(pack.resolve(shard));
      assertThrows(CorruptException.class, () -> opened.shard(shard));
    }
  }
}

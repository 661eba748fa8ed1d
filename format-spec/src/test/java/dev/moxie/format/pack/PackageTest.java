package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnfinishedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Tensors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PackageTest {
  private static final StagedFolder.Job JOB =
      TinyPackage.job(TinyPackage.ARCHITECTURE, Manifest.Layout.PLAIN, Map.of());

  @TempDir Path folder;

  @Test
  void everyTensorOfTheArchitectureIsFoundWithItsSourceAndDigest() throws IOException {
    Path target = folder.resolve("p");
    TinyPackage.write(target);
    try (MoxiePackage pack = MoxiePackage.open(target)) {
      Tensors.of(pack.architecture())
          .forEach(
              spec -> {
                if (spec.stack() == null) {
                  pack.tensor(spec.name());
                } else {
                  assertEquals(1, pack.stack(spec.name()).size());
                }
              });
      IndexRow up = pack.slice("layers.0.experts.gate_up.weight", 2, Projection.UP);
      assertEquals("layers.0.experts.2.up.weight", up.sourceTensor());
      assertEquals(Digests.of(pack.bytes(up)).sha256(), up.sha256());
      byte[] file = Files.readAllBytes(target.resolve(up.shard()));
      byte[] slice =
          java.util.Arrays.copyOfRange(file, (int) up.offset(), (int) (up.offset() + up.bytes()));
      assertEquals(up.sha256(), Digests.sha256(slice), "offsets count from the file's start");
    }
  }

  @Test
  void equalInputGivesEqualBytes() throws IOException {
    TinyPackage.write(folder.resolve("a"));
    TinyPackage.write(folder.resolve("b"));
    assertEquals(digests(folder.resolve("a")), digests(folder.resolve("b")));
  }

  @Property(tries = 100)
  void everyStackStartsOnAPageWhateverTheSizes(
      @ForAll @IntRange(min = 2, max = 9) int experts,
      @ForAll @IntRange(min = 1, max = 70) int hidden,
      @ForAll @IntRange(min = 1, max = 70) int intermediate) {
    for (ShardLayout layout :
        TinyPackage.layouts(
            TinyPackage.architecture(experts, hidden, intermediate), Manifest.Layout.PLAIN)) {
      long next = layout.header().bytes();
      assertEquals(0, next % ShardLayout.PAGE);
      for (ShardLayout.Placed placed : layout.tensors()) {
        assertEquals(next, placed.offset(), "no holes");
        next += placed.bytes();
        if (placed.spec().stack() != null) {
          assertEquals(0, placed.offset() % ShardLayout.PAGE, placed.spec().name());
        } else {
          assertEquals(0, placed.offset() % (placed.dtype().bits() / 8), placed.spec().name());
        }
      }
      assertEquals(next, layout.header().fileBytes());
    }
  }

  @Test
  void aWriteThatFailsBeforeAShardIsFinishedLeavesNothing() throws IOException {
    Path target = folder.resolve("p");
    assertThrows(UncheckedIOException.class, () -> writeUntil("embedding.weight", target, false));
    assertEquals(Map.of(), digests(folder));
  }

  @Test
  void aWriteThatFailsLeavesTheOldPackage() throws IOException {
    Path target = folder.resolve("p");
    TinyPackage.write(target);
    Map<String, String> before = digests(folder);
    assertThrows(UncheckedIOException.class, () -> writeUntil("embedding.weight", target, true));
    assertEquals(before, digests(folder));
  }

  static void writeUntil(String failing, Path target, boolean force) {
    try (PackageWriter writer = PackageWriter.create(target, force, JOB)) {
      for (ShardLayout layout :
          TinyPackage.layouts(TinyPackage.ARCHITECTURE, Manifest.Layout.PLAIN)) {
        writer.writeShard(
            layout,
            TinyPackage.origins(layout),
            (tensor, leaf) -> {
              if (leaf.source().equals(failing)) {
                throw new IOException("the disk is gone");
              }
              return TinyPackage.bytes(leaf);
            });
      }
      TinyPackage.commit(writer, TinyPackage.ARCHITECTURE, Manifest.Layout.PLAIN);
    }
  }

  @Test
  void aFinishedPackageIsReplacedOnlyOnPurpose() {
    Path target = folder.resolve("p");
    TinyPackage.write(target);
    assertThrows(UsageException.class, () -> TinyPackage.write(target));
    TinyPackage.write(target, TinyPackage.architecture(4, 4, 2), true);
    try (MoxiePackage pack = MoxiePackage.open(target)) {
      pack.slice("layers.0.experts.down.weight", 3, Projection.DOWN);
    }
  }

  @Test
  void aFolderThatIsNoPackageIsNeverReplaced() throws IOException {
    Path target = Files.createDirectories(folder.resolve("p"));
    Files.writeString(target.resolve("thesis.tex"), "years of work");
    assertThrows(
        UsageException.class, () -> TinyPackage.write(target, TinyPackage.ARCHITECTURE, true));
    assertTrue(Files.exists(target.resolve("thesis.tex")));
  }

  @Test
  void aPackageWithOtherFilesInItsFolderIsNotReplaced() throws IOException {
    Path target = folder.resolve("p");
    TinyPackage.write(target);
    Files.createDirectories(target.resolve("checkpoint"));
    Files.writeString(target.resolve("checkpoint/model.safetensors"), "the only copy");
    String message =
        assertThrows(
                UsageException.class,
                () -> TinyPackage.write(target, TinyPackage.ARCHITECTURE, true))
            .getMessage();
    assertTrue(message.contains("checkpoint/model.safetensors"), message);
    assertTrue(Files.exists(target.resolve("checkpoint/model.safetensors")));
  }

  @Test
  void aDamagedPackageIsNotReplaced() throws IOException {
    Path target = folder.resolve("p");
    TinyPackage.write(target);
    Files.writeString(target.resolve("moxie.json"), "{}");
    assertThrows(
        UsageException.class, () -> TinyPackage.write(target, TinyPackage.ARCHITECTURE, true));
    assertTrue(Files.exists(target.resolve("tensors.arrow")));
  }

  @Test
  void aSecondWriterOfTheSameTargetIsRefused() {
    Path target = folder.resolve("p");
    PackageWriter first = PackageWriter.create(target, false, JOB);
    assertThrows(UsageException.class, () -> PackageWriter.create(target, false, JOB));
    first.close();
    PackageWriter.create(target, false, JOB).close();
  }

  @Test
  void aPackageWithoutManifestIsUnfinished() throws IOException {
    Path target = folder.resolve("p");
    TinyPackage.write(target);
    Files.delete(target.resolve(PackagePaths.MANIFEST));
    assertThrows(UnfinishedException.class, () -> MoxiePackage.open(target));
  }

  @Test
  void aShardThatIsShortOrGoneIsNamed() throws IOException {
    Path target = folder.resolve("p");
    TinyPackage.write(target);
    Path shard = target.resolve("experts-L000.safetensors");
    try (var channel = Files.newByteChannel(shard, StandardOpenOption.WRITE)) {
      channel.truncate(100);
    }
    assertShardRefused(target);
    Files.delete(shard);
    assertShardRefused(target);
  }

  private static void assertShardRefused(Path target) {
    try (MoxiePackage pack = MoxiePackage.open(target)) {
      String message =
          assertThrows(
                  CorruptException.class,
                  () -> pack.bytes(pack.stack("layers.0.experts.down.weight").getFirst()))
              .getMessage();
      assertTrue(message.contains("experts-L000.safetensors"), message);
    }
  }

  @Test
  void pathsThatLeaveThePackageAreRefused() {
    for (String path :
        List.of("", "/etc/passwd", "../x", "a/../../x", "a//b", "a/.", "C:x", "a\\b", "a\nb")) {
      assertThrows(CorruptException.class, () -> PackagePaths.require("here", path), path);
    }
    assertEquals("source/a b.json", PackagePaths.require("here", "source/a b.json"));
  }

  static Map<String, String> digests(Path folder) throws IOException {
    Map<String, String> digests = new TreeMap<>();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        digests.put(folder.relativize(file).toString(), Digests.sha256(Files.readAllBytes(file)));
      }
    }
    return digests;
  }
}

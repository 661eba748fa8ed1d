package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.StagedFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a writer that was interrupted leaves, and what the next one makes of it. */
class ResumeTest {
  private static final String BACKBONE = "backbone-00001-of-00001.safetensors";
  private static final String EXPERTS = "experts-L000.safetensors";
  private static final Map<String, String> JOB = Map.of("--dtype", "none", "--mtp", "keep");

  @TempDir Path folder;
  private Path target = Path.of("");
  private Path journal = Path.of("");
  private Path partial = Path.of("");

  @BeforeEach
  void interrupted() {
    target = folder.resolve("p");
    journal = folder.resolve(".p.moxie-journal");
    partial = folder.resolve(".p.moxie-partial");
    assertThrows(UncheckedIOException.class, () -> write(JOB, false, EXPERTS));
  }

  private static StagedFolder.Job job(Map<String, String> facts) {
    return TinyPackage.job(TinyPackage.ARCHITECTURE, Manifest.Layout.PLAIN, facts);
  }

  /** Writes the package; reading the shard named fails. */
  private List<PackageWriter.Outcome> write(
      Map<String, String> job, boolean force, String failing) {
    List<PackageWriter.Outcome> outcomes = new ArrayList<>();
    try (PackageWriter writer = PackageWriter.create(target, force, job(job))) {
      writer.writeFile("source/config.json", "{}\n".getBytes(StandardCharsets.UTF_8));
      for (ShardLayout layout :
          TinyPackage.layouts(TinyPackage.ARCHITECTURE, Manifest.Layout.PLAIN)) {
        outcomes.add(
            writer.writeShard(
                layout,
                TinyPackage.origins(layout),
                (tensor, leaf) -> {
                  if (layout.file().equals(failing)) {
                    throw new IOException("the disk is gone");
                  }
                  return TinyPackage.bytes(leaf);
                }));
      }
      TinyPackage.commit(writer, TinyPackage.ARCHITECTURE, Manifest.Layout.PLAIN);
    }
    return outcomes;
  }

  private void assertSameAsUninterrupted() throws IOException {
    TinyPackage.write(folder.resolve("whole"));
    assertEquals(PackageTest.digests(folder.resolve("whole")), PackageTest.digests(target));
    assertFalse(Files.exists(journal));
    assertFalse(Files.exists(partial));
  }

  @Test
  void whatIsFinishedIsKeptAndTheRestWritten() throws IOException {
    assertFalse(Files.exists(target));
    assertEquals(Set.of(BACKBONE), StagedFolder.finished(target));
    assertEquals(
        List.of(PackageWriter.Outcome.KEPT, PackageWriter.Outcome.WRITTEN), write(JOB, false, ""));
    assertSameAsUninterrupted();
  }

  @Test
  void aSecondInterruptionLosesNothingOfTheFirst() throws IOException {
    assertThrows(UncheckedIOException.class, () -> write(JOB, false, EXPERTS));
    assertEquals(PackageWriter.Outcome.KEPT, write(JOB, false, "").getFirst());
    assertSameAsUninterrupted();
  }

  @Test
  void aShardWhoseBytesAreNotThoseOfTheJournalIsWrittenAgain() throws IOException {
    Path shard = partial.resolve(BACKBONE);
    byte[] bytes = Files.readAllBytes(shard);
    bytes[bytes.length - 1] ^= 1;
    Files.write(shard, bytes);
    assertEquals(PackageWriter.Outcome.REWRITTEN, write(JOB, false, "").getFirst());
    assertSameAsUninterrupted();
  }

  @Test
  void aShardThatIsShortOrHasAnotherHeaderIsWrittenAgain() throws IOException {
    Path shard = partial.resolve(BACKBONE);
    byte[] bytes = Files.readAllBytes(shard);
    bytes[20] ^= 1;
    Files.write(shard, bytes);
    assertThrows(UncheckedIOException.class, () -> write(JOB, false, BACKBONE));
    Files.write(shard, new byte[10]);
    assertEquals(PackageWriter.Outcome.REWRITTEN, write(JOB, false, "").getFirst());
    assertSameAsUninterrupted();
  }

  @Test
  void aJournalWhoseShardIsGoneIsNoHarm() throws IOException {
    Files.delete(partial.resolve(BACKBONE));
    write(JOB, false, "");
    assertSameAsUninterrupted();
  }

  @Test
  void filesThatTheJournalDoesNotClaimAreNotTakenOver() throws IOException {
    Files.writeString(partial.resolve(EXPERTS), "half a shard");
    Files.writeString(partial.resolve("moxie.json"), "{");
    write(JOB, false, "");
    assertSameAsUninterrupted();
  }

  @Test
  void aLineThatTheJournalDidNotFinishDoesNotCount() throws IOException {
    Files.writeString(
        journal, "{\"file\":\"" + EXPERTS + "\",\"parts\":[\"0", StandardOpenOption.APPEND);
    assertEquals(Set.of(BACKBONE), StagedFolder.finished(target));
    write(JOB, false, "");
    assertSameAsUninterrupted();
  }

  @Test
  void garbageInTheJournalIsRefusedUntilForced() throws IOException {
    for (String garbage : List.of("garbage\n", "{}\n", "null\n", "[1]\n", "\u0000\u0000\n")) {
      String before = Files.readString(journal);
      Files.writeString(journal, before + garbage);
      String message =
          assertThrows(CorruptException.class, () -> write(JOB, false, "")).getMessage();
      assertTrue(message.contains("line 4") && message.contains("--force"), message);
      assertTrue(Files.exists(partial.resolve(BACKBONE)), "nothing is lost");
      Files.writeString(journal, before);
    }
    Files.writeString(journal, Files.readString(journal) + "garbage\n");
    assertEquals(PackageWriter.Outcome.WRITTEN, write(JOB, true, "").getFirst());
    assertSameAsUninterrupted();
  }

  @Test
  void somebodysFileInTheUnfinishedFolderIsRefusedAndKept() throws IOException {
    for (String name : List.of("stranger", "source/stranger", "folder/stranger")) {
      Path stranger = partial.resolve(name);
      Files.createDirectories(stranger.resolveSibling("."));
      Files.writeString(stranger, "x");
      for (boolean force : List.of(false, true)) {
        String message =
            assertThrows(UsageException.class, () -> write(JOB, force, "")).getMessage();
        assertTrue(message.contains("moxie-partial"), message);
        assertEquals("x", Files.readString(stranger));
      }
      Files.delete(stranger);
    }
    Files.delete(partial.resolve("folder"));
    write(JOB, false, "");
    assertSameAsUninterrupted();
  }

  @Test
  void aShardThatTheJobDoesNotHaveIsNotThePackages() throws IOException {
    String text = Files.readString(journal);
    Files.writeString(
        journal,
        text.replace("\"source/", "\"another\",\"source/")
            + "{\"file\":\"another\",\"parts\":[]}\n");
    Files.writeString(partial.resolve("another"), "x");
    write(JOB, false, "");
    assertSameAsUninterrupted();
  }

  /** Only what the journal says would be set aside is deleted with it. */
  @Test
  void somebodysFolderUnderTheNameOfWhatIsSetAsideStays() throws IOException {
    Path old = Files.createDirectory(journal.resolveSibling(".p.moxie-old"));
    Path precious = Files.writeString(old.resolve("precious"), "x");
    Files.writeString(
        journal, "{\"file\":\".\",\"parts\":[\"moxie.json\"]}\n", StandardOpenOption.APPEND);
    for (boolean force : new boolean[] {false, true}) {
      String message = assertThrows(UsageException.class, () -> write(JOB, force, "")).getMessage();
      assertTrue(message.contains("moxie-old"), message);
      assertEquals("x", Files.readString(precious));
    }
  }

  @Test
  void anotherJobIsRefusedWithWhatDiffers() throws IOException {
    Map<String, String> other = Map.of("--dtype", "BF16", "--mtp", "keep");
    String message = assertThrows(UsageException.class, () -> write(other, false, "")).getMessage();
    assertTrue(message.contains("--dtype was none and is BF16"), message);
    assertEquals(PackageWriter.Outcome.KEPT, write(JOB, false, "").getFirst());
    assertSameAsUninterrupted();
  }

  @Test
  void anotherJobMayStartOverWhereNothingIsFinished() throws IOException {
    Files.writeString(journal, String.join("\n", Files.readAllLines(journal).subList(0, 2)) + "\n");
    write(Map.of("--dtype", "BF16"), false, "");
    assertSameAsUninterrupted();
  }

  @Test
  void forceStartsOver() throws IOException {
    assertEquals(
        List.of(PackageWriter.Outcome.WRITTEN, PackageWriter.Outcome.WRITTEN),
        write(JOB, true, ""));
    assertSameAsUninterrupted();
  }

  @Test
  void aReplacementThatWasInterruptedGoesOnAndTheOldPackageStaysUntilItIsComplete()
      throws IOException {
    write(JOB, false, "");
    Map<String, String> old = PackageTest.digests(target);
    assertThrows(UncheckedIOException.class, () -> write(JOB, true, EXPERTS));
    assertEquals(old, PackageTest.digests(target));
    assertEquals(PackageWriter.Outcome.KEPT, write(JOB, false, "").getFirst());
    assertSameAsUninterrupted();
    assertThrows(UsageException.class, () -> write(JOB, false, ""), "leave was for once");
  }

  @Test
  void whatIsDiscardedIsNotGoneOnWith() throws IOException {
    try (PackageWriter writer = PackageWriter.create(target, false, job(JOB))) {
      writer.discard();
    }
    assertEquals(Map.of(), PackageTest.digests(folder));
  }
}

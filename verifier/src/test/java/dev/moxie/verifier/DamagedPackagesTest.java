package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DamagedPackagesTest {
  @TempDir Path folder;
  private Path pack;

  @BeforeEach
  void convert() {
    pack = Packages.convert(Fixtures.randomMixtrals().getFirst(), folder.resolve("p"));
  }

  @Test
  void aLostShardIsNamed() throws IOException {
    Files.delete(pack.resolve("experts-L001.safetensors"));
    assertFinding("experts-L001.safetensors");
  }

  @Test
  void aShardCutShortIsNamed() throws IOException {
    Path shard = pack.resolve("experts-L002.safetensors");
    byte[] bytes = Files.readAllBytes(shard);
    Files.write(shard, java.util.Arrays.copyOf(bytes, bytes.length - 1));
    assertFinding("experts-L002.safetensors");
  }

  @Test
  void aFileThatNobodyListedIsNamed() throws IOException {
    Files.writeString(pack.resolve("source/evil.py"), "import os");
    assertFinding("source/evil.py");
  }

  @Test
  void aSymbolicLinkInPlaceOfAShardIsRefused() throws IOException {
    Path shard = pack.resolve("experts-L000.safetensors");
    Path elsewhere = folder.resolve("elsewhere");
    Files.move(shard, elsewhere);
    Files.createSymbolicLink(shard, elsewhere);
    assertFinding("experts-L000.safetensors");
  }

  @Test
  void aDamagedPackageIsNotRun() throws IOException {
    Files.delete(pack.resolve("experts-L001.safetensors"));
    Report report =
        Verifier.verify(
            pack,
            Fixtures.randomMixtrals().getFirst(),
            List.of(Fixtures.randomMixtrals().getFirst().resolve("trace.safetensors")),
            EnumSet.allOf(Execution.class));
    assertEquals(List.of(), report.references());
    assertTrue(report.notChecked().getFirst().contains("damaged"));
  }

  private void assertFinding(String file) {
    Report report = Verifier.verify(pack, null, List.of(), EnumSet.allOf(Execution.class));
    assertEquals(Verdict.FAIL, report.verdict());
    assertEquals(file, report.integrity().findings().getFirst().file());
  }
}

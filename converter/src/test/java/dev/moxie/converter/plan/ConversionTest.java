package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.SyntheticMixtral;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.fixtures.MixtralConfig;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TimeZone;
import java.util.TreeMap;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@Isolated("It changes the default locale.")
class ConversionTest {
  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    return Stream.concat(Stream.of(Fixtures.tinyMixtral()), Fixtures.randomMixtrals().stream());
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void everySourceTensorIsOneLeafWithTheSameDigest(Path checkpoint) {
    convert(checkpoint, folder.resolve("p"), 2);
    Map<String, String> digests = new TreeMap<>();
    Checkpoint source = Checkpoint.open(checkpoint);
    for (String file : source.headers().keySet()) {
      try (var opened = SafetensorsFile.open(checkpoint.resolve(file))) {
        opened
            .header()
            .tensors()
            .forEach(info -> digests.put(info.name(), Digests.of(opened.data(info)).sha256()));
      }
    }
    try (MoxiePackage pack = MoxiePackage.open(folder.resolve("p"))) {
      Map<String, String> leaves = new TreeMap<>();
      pack.rows().stream()
          .filter(row -> row.sourceTensor() != null)
          .forEach(row -> leaves.put(row.sourceTensor(), row.sha256()));
      assertEquals(digests, leaves);
    }
  }

  @Test
  void aKeyThatConfigDoesNotHaveIsNotClaimedAsIgnored() {
    var conversion =
        new Conversion(Set.of("colour", "eos_token_id"), Conversion.Prediction.KEEP, null);
    ConversionPlan plan = Planner.plan(Checkpoint.open(Fixtures.tinyMixtral()), conversion);
    assertEquals(List.of("eos_token_id"), plan.provenance().ignoredConfigKeys());
  }

  private static final Conversion KEEP = new Conversion(Set.of(), Conversion.Prediction.KEEP, null);

  @ParameterizedTest
  @MethodSource("checkpoints")
  void threadsLocaleAndTimeZoneChangeNoByte(Path checkpoint) throws IOException {
    convert(checkpoint, folder.resolve("one"), 1);
    Locale locale = Locale.getDefault();
    TimeZone zone = TimeZone.getDefault();
    try {
      Locale.setDefault(Locale.forLanguageTag("ar-EG"));
      TimeZone.setDefault(TimeZone.getTimeZone("Pacific/Apia"));
      convert(checkpoint, folder.resolve("two"), 2);
    } finally {
      Locale.setDefault(locale);
      TimeZone.setDefault(zone);
    }
    assertEquals(FolderDigests.of(folder.resolve("one")), FolderDigests.of(folder.resolve("two")));
  }

  @Test
  void whatIsNeededToRestoreTheCheckpointIsTakenOver() throws IOException {
    Path checkpoint = Fixtures.tinyMixtral();
    convert(checkpoint, folder.resolve("p"), 1);
    Path source = folder.resolve("p/source");
    for (String name : Set.of("config.json", "tokenizer.json", "model.safetensors.index.json")) {
      assertArrayEquals(
          Files.readAllBytes(checkpoint.resolve(name)), Files.readAllBytes(source.resolve(name)));
    }
    byte[] header = Files.readAllBytes(source.resolve("model-00002-of-00003.safetensors.header"));
    byte[] file = Files.readAllBytes(checkpoint.resolve("model-00002-of-00003.safetensors"));
    assertArrayEquals(header, java.util.Arrays.copyOf(file, header.length));
    try (MoxiePackage pack = MoxiePackage.open(folder.resolve("p"))) {
      Manifest.Provenance provenance = pack.manifest().provenance();
      assertEquals(3, provenance.shards().size());
      assertEquals(Set.of(), Set.copyOf(provenance.ignoredFiles()));
    }
  }

  @Property(tries = 25)
  void anyShapeOfTheFamilyConverts(
      @ForAll @IntRange(min = 1, max = 3) int layers,
      @ForAll @IntRange(min = 1, max = 33) int halfHidden,
      @ForAll @IntRange(min = 1, max = 50) int intermediate,
      @ForAll @IntRange(min = 1, max = 12) int experts)
      throws IOException {
    Path root = Files.createTempDirectory("moxie-shape");
    try {
      SyntheticMixtral.write(
          root.resolve("c"),
          new MixtralConfig(layers, 2 * halfHidden, intermediate, experts, 1, 2, 1, 6, 11));
      convert(root.resolve("c"), root.resolve("p"), 2);
      try (MoxiePackage pack = MoxiePackage.open(root.resolve("p"))) {
        for (IndexRow row : pack.rows()) {
          if (row.isLeaf()) {
            assertEquals(row.sha256(), Digests.of(pack.bytes(row)).sha256());
          }
        }
      }
    } finally {
      try (Stream<Path> walk = Files.walk(root)) {
        walk.sorted(java.util.Comparator.reverseOrder()).forEach(p -> p.toFile().delete());
      }
    }
  }

  @Test
  void aSourceThatShrinksMeanwhileLeavesNoPackage() throws IOException {
    Path checkpoint = folder.resolve("c");
    SyntheticMixtral.write(checkpoint, new MixtralConfig(2, 64, 32, 4, 2, 2, 1, 32, 50));
    ConversionPlan plan = Planner.plan(Checkpoint.open(checkpoint), KEEP);
    Path shard = checkpoint.resolve("model-00003-of-00003.safetensors");
    byte[] bytes = Files.readAllBytes(shard);
    Files.write(shard, java.util.Arrays.copyOf(bytes, bytes.length / 2));
    String message =
        assertThrows(EnvironmentException.class, () -> execute(plan, folder.resolve("p"), 2))
            .getMessage();
    assertTrue(message.contains("model-00003-of-00003"), message);
    assertFalse(Files.exists(folder.resolve("p")), "what was finished before waits beside it");
  }

  @Test
  void aSourceThatChangesMeanwhileLeavesNoPackage() throws IOException {
    Path checkpoint = folder.resolve("c");
    SyntheticMixtral.write(checkpoint, new MixtralConfig(2, 64, 32, 4, 2, 2, 1, 32, 50));
    ConversionPlan plan = Planner.plan(Checkpoint.open(checkpoint), KEEP);
    Progress touch =
        new Progress() {
          @Override
          public void advance(long bytes) {}

          @Override
          public void finished(String file) {
            assertTrue(
                checkpoint
                    .resolve("model-00002-of-00003.safetensors")
                    .toFile()
                    .setLastModified(1_000_000_000L + file.length()));
          }
        };
    assertThrows(
        EnvironmentException.class,
        () ->
            Executor.execute(
                plan.contents(),
                folder.resolve("p"),
                new Manifest.Producer("t", "0"),
                1,
                false,
                touch));
    assertNothingWritten();
  }

  private void assertNothingWritten() throws IOException {
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(1, left.count(), "only the checkpoint");
    }
  }

  @Test
  void aPlanNamesEveryRangeBeforeAnythingIsWritten() throws IOException {
    ConversionPlan plan =
        Planner.plan(Checkpoint.open(Fixtures.tinyMixtral()), Conversion.LOSSLESS);
    PlanReport.Estimate estimate =
        PlanReport.Estimate.measure(plan.contents(), folder.resolve("p"), 2);
    assertTrue(estimate.bytesPerSecond() > 0);
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(0, left.count(), "what was written to measure is gone");
    }
    String json = PlanReport.json(plan, estimate);
    plan.checkpoint().tensors().keySet().forEach(name -> assertTrue(json.contains(name), name));
    assertFalse(Files.exists(folder.resolve("p")));
    assertTrue(PlanReport.text(plan, estimate).contains("no package was written"));
  }

  private static void convert(Path checkpoint, Path target, int threads) {
    execute(Planner.plan(Checkpoint.open(checkpoint), KEEP), target, threads);
  }

  private static void execute(ConversionPlan plan, Path target, int threads) {
    Executor.execute(
        plan.contents(), target, new Manifest.Producer("test", "0"), threads, false, Progress.NONE);
  }
}

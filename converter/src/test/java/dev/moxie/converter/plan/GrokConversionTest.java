package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.family.Layout;
import dev.moxie.converter.family.ReleaseTensors;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Grok-1's release: pickles, a file for each parameter, whose names stand nowhere. */
class GrokConversionTest {
  private static final Path FIXTURE = Fixtures.root().resolve("random/grok-1");
  private static final Path RELEASE =
      Fixtures.root().resolveSibling("docs").resolve("grok-1/config.json");

  @TempDir Path folder;
  private Path checkpoint;

  @BeforeEach
  void copy() throws IOException {
    checkpoint = Files.createDirectory(folder.resolve("ckpt-0"));
    try (Stream<Path> files = Files.list(FIXTURE)) {
      for (Path file : files.toList()) {
        Files.copy(file, checkpoint.resolve(file.getFileName()));
      }
    }
  }

  /**
   * The files of the release, by size, less what pickles of one array (165, 162 and 151 bytes) or
   * of two (310, 319 and 323) have besides arrays.
   */
  @Test
  void theReleasesConfigCallsForTheFilesThatItHas() {
    Map<String, Long> files = new TreeMap<>();
    ReleaseTensors.of(Config.read(RELEASE, Set.of()))
        .forEach(
            tensor ->
                files.merge(
                    tensor.name().replaceAll("\\.(weight|scales)$", ""),
                    tensor.bytes(),
                    Long::sum));
    Map<Long, Long> bySize =
        files.values().stream().collect(Collectors.groupingBy(b -> b, Collectors.counting()));
    assertEquals(
        Map.of(
            3_221_225_637L - 165, 1L,
            1_611_137_347L - 323, 128L,
            1_611_399_491L - 323, 64L,
            37_847_359L - 319, 64L,
            37_761_334L - 310, 64L,
            6_293_814L - 310, 128L,
            196_770L - 162, 64L,
            24_727L - 151, 257L),
        bySize);
  }

  @Test
  void filesFollowThePathsOfParametersAsText() {
    Config config = Config.read(RELEASE, Set.of());
    Family family = Families.of(config);
    Layout layout =
        family.layout(Set.of()).numbered(Tensors.of(family.describe(config).architecture()));
    assertEquals(770, layout.numberedFiles());
    assertEquals("tensor00000_000.weight", layout.nameOf("embedding.weight"));
    assertEquals("tensor00001_000.weight", layout.nameOf("final_norm.weight"));
    assertEquals("tensor00005_000.weight", layout.nameOf("layers.0.attention.key.weight"));
    assertEquals("tensor00013_000.weight", layout.nameOf("layers.0.router.weight"));
    assertEquals("tensor00025_000.weight", layout.nameOf("layers.1.router.weight"));
    assertEquals("tensor00037_000.weight", layout.nameOf("layers.10.router.weight"));
    assertEquals("tensor00769_000.weight", layout.nameOf("layers.9.router.weight"));
  }

  @Test
  void anExportIsTheReleaseAgainAndNoArrayIsKeptTwice() throws IOException {
    try (MoxiePackage pack =
        EditedCheckpoint.convert(checkpoint, folder.resolve("p"), Conversion.LOSSLESS)) {
      pack.requireSources();
      Path again = folder.resolve("again");
      assertTrue(Exporter.export(pack, again, 2, Progress.NONE).asItWas());
      assertEquals(FolderDigests.of(checkpoint), FolderDigests.of(again));
      for (Manifest.SourceShard shard : pack.manifest().provenance().shards()) {
        assertTrue(pack.sourceHeader(shard).bytes() < 330, shard.file());
      }
      Set<String> encodings =
          pack.rows().stream().map(row -> row.encoding().id()).collect(Collectors.toSet());
      assertEquals(Set.of("plain", "int8_group_24", "int8_group_6"), encodings);
    }
  }

  /** No pickle is composed anew, so that what changed has no file to go to. */
  @Test
  void whatWasDecodedIsNotExported() {
    var cast = new Manifest.Cast(Dtype.F32, Manifest.Rounding.NEAREST_EVEN);
    try (MoxiePackage pack =
        EditedCheckpoint.convert(
            checkpoint, folder.resolve("p"), new Conversion(Set.of(), null, cast))) {
      pack.requireSources();
      assertTrue(
          pack.rows().stream()
              .map(IndexRow::transform)
              .anyMatch(t -> "dequantise_int8_group_6".equals(t)));
      String message =
          assertThrows(
                  UnsupportedException.class,
                  () -> Exporter.export(pack, folder.resolve("again"), 1, Progress.NONE))
              .getMessage();
      assertTrue(message.contains("no pickle is composed anew"), message);
    }
  }

  private String refusal() {
    return assertThrows(
            InvalidInputException.class,
            () -> Planner.plan(Checkpoint.open(checkpoint), Conversion.LOSSLESS))
        .getMessage();
  }

  @Test
  void aFileThatIsMissingIsNamed() throws IOException {
    Files.delete(checkpoint.resolve("tensor00007_000"));
    assertTrue(refusal().contains("tensor00007_000: expected a file of each number up to"));
  }

  @Test
  void theLastFileIsMissedToo() throws IOException {
    Files.delete(checkpoint.resolve("tensor00133_000"));
    String message = refusal();
    assertTrue(message.contains("134 files") && message.contains("133, up to tensor00132_000"));
  }

  @Test
  void partsOfSeveralProcessesAreNotJoined() throws IOException {
    Files.copy(checkpoint.resolve("tensor00003_000"), checkpoint.resolve("tensor00003_001"));
    assertTrue(refusal().contains("tensor00003_001: expected files of one process"));
  }

  @Test
  void withoutAConfigTheMessageSaysWhereToFindOne() throws IOException {
    Files.delete(checkpoint.resolve("config.json"));
    String message = refusal();
    assertTrue(message.contains("weights as Grok-1 is released"), message);
    assertTrue(message.contains("docs/grok-1"), message);
  }

  @Test
  void parametersInAnotherOrderHaveOtherShapes() throws IOException {
    Path one = checkpoint.resolve("tensor00005_000");
    Path other = checkpoint.resolve("tensor00006_000");
    Path aside = checkpoint.resolve("aside");
    Files.move(one, aside);
    Files.move(other, one);
    Files.move(aside, other);
    String message = refusal();
    assertTrue(
        message.contains("[24, 12], which transformer.decoder_layer.0.multi_head_attention.key"),
        message);
  }

  @Test
  void aShardsScaleThatConfigDoesNotCallForIsRefused() throws IOException {
    Path config = checkpoint.resolve("config.json");
    Files.writeString(
        config, Files.readString(config).replace("\"model_shards\": 4", "\"model_shards\": 2"));
    String message = refusal();
    assertTrue(message.contains(".scales: expected shape"), message);
    Files.writeString(
        config, Files.readString(config).replace("\"model_shards\": 2", "\"model_shards\": 7"));
    assertTrue(refusal().contains("a divisor of the 24 inputs of"), refusal());
  }
}

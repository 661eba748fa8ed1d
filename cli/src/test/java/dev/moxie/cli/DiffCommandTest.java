package dev.moxie.cli;

import static dev.moxie.cli.CommandLineTest.moxie;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.cli.CommandLineTest.Outcome;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class DiffCommandTest {
  private static final String CHECKPOINT = Fixtures.randomMixtrals().getFirst().toString();

  @TempDir Path folder;
  private String pack = "";

  @BeforeEach
  void convert() {
    pack = folder.resolve("p").toString();
    assertEquals(0, moxie("convert", CHECKPOINT, pack).status());
  }

  @Test
  void theSameModelEndsWithZeroAndSaysInWhatSense() {
    Outcome source = moxie("diff", pack, CHECKPOINT);
    assertEquals(0, source.status(), source.err());
    assertTrue(
        source.out().endsWith("the same model: equal bytes, stored in another layout\n"),
        source.out());
    String wide = folder.resolve("q").toString();
    assertEquals(0, moxie("convert", CHECKPOINT, wide, "--dtype", "f32").status());
    Outcome cast = moxie("diff", pack, wide);
    assertEquals(0, cast.status(), cast.err());
    assertTrue(cast.out().contains("equal values, not all in equal bytes"), cast.out());
  }

  @Test
  void digestsAreTrustedUnlessBytesAreAskedFor() throws IOException {
    String other = folder.resolve("q").toString();
    assertEquals(0, moxie("convert", CHECKPOINT, other).status());
    Path shard = Path.of(other).resolve("experts-L000.safetensors");
    byte[] bytes = Files.readAllBytes(shard);
    bytes[bytes.length - 1] ^= 1;
    Files.write(shard, bytes);
    Outcome trusting = moxie("diff", pack, other);
    assertEquals(0, trusting.status());
    assertTrue(trusting.out().contains("\nnot read "), trusting.out());
    assertTrue(
        trusting.out().endsWith("digests were compared and bytes not read (--bytes reads them)\n"),
        trusting.out());
    Outcome reading = moxie("diff", pack, other, "--bytes");
    assertEquals(1, reading.status());
    assertFalse(reading.out().contains("\nnot read "), reading.out());
    assertTrue(reading.out().contains("\ndifferences   1\n"), reading.out());
    assertTrue(reading.out().contains("(expert 7, down) [63, 95]"), reading.out());
  }

  @Test
  void jsonIsOneObjectWithTheMembersOfTheComparison() {
    Outcome outcome = moxie("diff", CHECKPOINT, Fixtures.tinyMixtral().toString(), "--json");
    assertEquals(1, outcome.status());
    JsonNode diff = StrictJson.mapper(true).readTree(outcome.out());
    assertEquals("different", diff.at("/sense").stringValue());
    assertEquals("canonical", diff.at("/names").stringValue());
    assertEquals("checkpoint", diff.at("/a/kind").stringValue());
    assertEquals(
        3,
        diff.at("/architecture")
            .valueStream()
            .filter(c -> c.at("/what").stringValue().matches("layers|hiddenSize|vocabSize"))
            .count());
    assertEquals(30, diff.at("/tensors/incomparable").size());
    assertEquals(9, diff.at("/tensors/onlyInB").size());
  }

  @Test
  void aPathToNothingEndsWithTwoAndWhatIsNoModelOrDamagedWithThree() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "x");
    Path empty = Files.createDirectory(folder.resolve("empty"));
    for (Path wrong : new Path[] {file, empty, folder.resolve("nowhere")}) {
      int status = Files.exists(wrong) ? 3 : 2;
      assertOneSentence(status, moxie("diff", pack, wrong.toString()));
      assertOneSentence(status, moxie("diff", wrong.toString(), pack));
    }
    assertOneSentence(2, moxie("diff", pack));

    String lost = folder.resolve("lost").toString();
    assertEquals(0, moxie("convert", CHECKPOINT, lost).status());
    Files.delete(Path.of(lost).resolve("experts-L001.safetensors"));
    Outcome damaged = moxie("diff", pack, lost, "--json");
    assertOneSentence(3, damaged);
    assertTrue(damaged.err().contains("experts-L001.safetensors"), damaged.err());
    JsonNode report = StrictJson.mapper(true).readTree(damaged.out());
    assertTrue(report.at("/error").stringValue().contains("experts-L001.safetensors"));
    assertEquals("fail", report.at("/verdict").stringValue(), "as every command reports failure");

    Path manifest = Path.of(lost).resolve("moxie.json");
    Files.writeString(manifest, Files.readString(manifest).substring(0, 300));
    assertOneSentence(3, moxie("diff", lost, pack));

    Path checkpoint = Files.createDirectory(folder.resolve("c"));
    Files.writeString(checkpoint.resolve("config.json"), "{\"model_type\": ");
    Files.writeString(checkpoint.resolve("model.safetensors"), "no weights");
    assertOneSentence(3, moxie("diff", pack, checkpoint.toString()));
    Files.copy(
        Path.of(Fixtures.tinyMixtral().toString(), "trace-sums.safetensors"),
        checkpoint.resolve("model.safetensors"),
        StandardCopyOption.REPLACE_EXISTING);
    assertOneSentence(3, moxie("diff", pack, checkpoint.toString()));
  }

  private static void assertOneSentence(int status, Outcome outcome) {
    assertEquals(status, outcome.status(), outcome.err());
    assertEquals(1, outcome.err().strip().lines().count(), outcome.err());
    assertTrue(outcome.err().startsWith("moxie: "), outcome.err());
    assertFalse(outcome.err().contains("bug in Moxie"), outcome.err());
  }
}

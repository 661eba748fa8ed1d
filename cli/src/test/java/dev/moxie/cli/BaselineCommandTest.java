package dev.moxie.cli;

import static dev.moxie.cli.CommandLineTest.moxie;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.file.Signature;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class BaselineCommandTest {
  @TempDir Path folder;
  private String pack;
  private Path file;

  @BeforeEach
  void convert() {
    pack = convert(Fixtures.tinyMixtral(), "p");
    file = folder.resolve("b.json");
  }

  private String convert(Path checkpoint, String name) {
    String target = folder.resolve(name).toString();
    assertEquals(0, moxie("convert", checkpoint.toString(), target, "--quiet").status());
    return target;
  }

  private CommandLineTest.Outcome baseline(String verb, String of, String... options) {
    String[] arguments = new String[4 + options.length];
    arguments[0] = "baseline";
    arguments[1] = verb;
    arguments[2] = of;
    arguments[3] = file.toString();
    System.arraycopy(options, 0, arguments, 4, options.length);
    return moxie(arguments);
  }

  private static void assertStatus(int expected, CommandLineTest.Outcome outcome) {
    assertEquals(expected, outcome.status(), outcome.out() + outcome.err());
    if (expected > 1) {
      assertTrue(outcome.err().matches("moxie: [^\n]*[.]\\R"), outcome.err());
    }
  }

  /** The same model but for one number of its config. */
  private String changed() throws IOException {
    Path checkpoint = Files.createDirectory(folder.resolve("c"));
    try (var files = Files.list(Fixtures.tinyMixtral())) {
      for (Path source : files.toList()) {
        Files.copy(source, checkpoint.resolve(source.getFileName().toString()));
      }
    }
    Path config = checkpoint.resolve("config.json");
    Files.writeString(config, Files.readString(config).replace("1e-05", "2e-05"));
    return convert(checkpoint, "q");
  }

  @Test
  void aDriftEndsWithOneAndChangesNothingUntilItIsAcceptedOnPurpose() throws IOException {
    assertStatus(
        0, baseline("record", pack, "--prompt", "3 + 4 =", "--ids", "5,6,7", "--ids", "9"));
    JsonNode recorded = StrictJson.mapper(true).readTree(Files.readString(file));
    assertEquals(3, recorded.at("/sequences").size());
    assertEquals("[5,6,7]", recorded.at("/sequences/1/ids").toString());
    assertEquals(8, recorded.at("/sequences/1/greedy").size());
    assertStatus(0, baseline("check", pack));
    assertStatus(0, baseline("check", pack, "--strict"));

    String other = changed();
    byte[] before = Files.readAllBytes(file);
    CommandLineTest.Outcome drift = baseline("check", other);
    assertStatus(1, drift);
    assertTrue(drift.out().contains("  DRIFT      layer 0 router, sequence 0, "), drift.out());
    assertTrue(drift.out().contains(": recorded "), drift.out());
    assertTrue(drift.out().contains("diagnosis  The first drift is in layer 0"), drift.out());
    CommandLineTest.Outcome json = baseline("check", other, "--json");
    assertStatus(1, json);
    JsonNode report = StrictJson.mapper(true).readTree(json.out());
    assertEquals("fail", report.at("/verdict").stringValue());
    assertEquals(0, report.at("/drifts/0/layer").intValue(-1));
    assertTrue(report.at("/drifts/0/bound").isNumber());
    assertArrayEquals(before, Files.readAllBytes(file));

    CommandLineTest.Outcome update = baseline("check", other, "--update");
    assertStatus(0, update);
    assertTrue(update.out().contains("  DRIFT      layer 0 router"), "says what changed");
    assertTrue(update.err().contains("b.json: updated"), update.err());
    assertStatus(0, baseline("check", other, "--strict"));
    assertStatus(1, baseline("check", pack));
    assertTrue(baseline("check", other, "--update").err().contains("nothing to update"));
  }

  @Test
  void anUpdateThatCannotBeWrittenComesAfterTheReport() throws IOException {
    assertStatus(0, baseline("record", pack, "--ids", "1"));
    String other = changed();
    try (StagedFile another = StagedFile.replace(file, Signature.of("{"))) {
      CommandLineTest.Outcome update = baseline("check", other, "--update", "--json");
      assertStatus(2, update);
      assertTrue(update.err().contains("another command"), update.err());
      JsonNode report = StrictJson.mapper(true).readTree(update.out());
      assertEquals(0, report.at("/drifts/0/layer").intValue(-1));
    }
  }

  @Test
  void nothingIsOverwrittenWithoutForce() throws IOException {
    assertStatus(0, baseline("record", pack, "--ids", "1", "--greedy", "0"));
    byte[] before = Files.readAllBytes(file);
    assertStatus(2, baseline("record", pack, "--ids", "2"));
    CommandLineTest.Outcome nowhere =
        baseline("check", folder.resolve("none").toString(), "--execution", "fused", "--update");
    assertStatus(2, nowhere);
    assertTrue(nowhere.err().contains("--update"), "found before the package is: " + nowhere.err());
    assertStatus(2, baseline("check", pack, "--execution", "fused", "--update"));
    assertArrayEquals(before, Files.readAllBytes(file));
    assertStatus(0, baseline("record", pack, "--ids", "2", "--force"));
    assertFalse(Arrays.equals(before, Files.readAllBytes(file)));
    file = Path.of(pack).resolve("b.json");
    assertStatus(2, baseline("record", pack));
  }

  @Test
  void whatTheModelCannotRunIsWrongUsage() {
    assertStatus(2, baseline("record", pack, "--ids", "512"));
    assertStatus(2, baseline("record", pack, "--ids", "1,,2"));
    assertStatus(2, baseline("record", pack, "--ids", "1,x"));
    assertStatus(2, baseline("record", pack, "--greedy", "-1"));
    assertStatus(2, baseline("record", pack, "--ids", "1" + ",1".repeat(600)));
    assertStatus(2, baseline("check", pack));
    assertStatus(2, moxie("baseline", "check", pack));
    assertFalse(Files.exists(file));
  }

  @Test
  void aFileThatIsNoBaselineOfTheModelEndsWithThree() throws IOException {
    assertStatus(0, baseline("record", pack, "--ids", "1"));
    String other = convert(Fixtures.randomMixtrals().getFirst(), "r");
    assertStatus(3, baseline("check", other, "--update"));
    Files.writeString(file, Files.readString(file).substring(0, 1000));
    for (String option : new String[] {"--update", "--json", "--strict"}) {
      assertStatus(3, baseline("check", pack, option));
    }
    assertEquals(1000, Files.size(file));
    CommandLineTest.Outcome json = baseline("check", pack, "--json");
    assertTrue(
        StrictJson.mapper(true).readTree(json.out()).at("/error").stringValue().contains("b.json"));
  }
}

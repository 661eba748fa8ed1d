package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code moxie verify} writes beside its text, whatever it finds. */
@Exhaustive
class VerifyReportsTest {
  @TempDir Path folder;
  private Path pack;
  private Path checkpoint;

  @BeforeEach
  void convert() {
    checkpoint = Fixtures.randomMixtrals().getFirst();
    pack = folder.resolve("p");
    assertEquals(
        0, CommandLineTest.moxie("convert", checkpoint.toString(), pack.toString()).status());
  }

  private CommandLineTest.Outcome verify(String... options) {
    List<String> line =
        new ArrayList<>(
            List.of(
                "verify",
                pack.toString(),
                "--source",
                checkpoint.toString(),
                "--reference",
                checkpoint.resolve("trace.safetensors").toString()));
    line.addAll(List.of(options));
    return CommandLineTest.moxie(line.toArray(String[]::new));
  }

  private CommandLineTest.Outcome verifyAll() {
    return verify(
        "--html",
        path("out/r.html").toString(),
        "--junit",
        path("out/r.xml").toString(),
        "--markdown",
        path("out/r.md").toString(),
        "--annotations");
  }

  private Path path(String name) {
    return folder.resolve(name);
  }

  private String html() throws IOException {
    return Files.readString(path("out/r.html"));
  }

  private String junit() throws IOException {
    return Files.readString(path("out/r.xml"));
  }

  private String markdown() throws IOException {
    return Files.readString(path("out/r.md"));
  }

  @Test
  void aPassIsWrittenInEveryForm() throws IOException {
    var outcome = verifyAll();
    assertEquals(0, outcome.status(), outcome.err());
    assertTrue(outcome.out().contains("verdict      pass"), outcome.out());
    assertTrue(outcome.out().contains("\n::notice "), outcome.out());
    assertFalse(outcome.out().contains("::error"), outcome.out());
    assertTrue(html().contains("Everything that was checked holds."));
    assertTrue(junit().contains(" failures=\"0\""));
    assertTrue(markdown().startsWith("## Moxie verify: ✅ pass"));
    String before = html();
    assertEquals(0, verifyAll().status());
    assertEquals(before, html(), "the same report, the same bytes");
  }

  @Test
  void aMismatchIsWrittenInEveryForm() throws IOException {
    Path config = pack.resolve("source/config.json");
    Files.writeString(config, " " + Files.readString(config));
    var outcome = verifyAll();
    assertEquals(1, outcome.status(), outcome.err());
    assertTrue(outcome.out().contains("::error file="), outcome.out());
    assertTrue(html().contains("The package is damaged"));
    assertTrue(junit().contains("source/config.json: expected a file of"));
    assertTrue(markdown().startsWith("## Moxie verify: ❌ FAIL"));
  }

  @Test
  void otherNumbersAreDiagnosedInEveryForm() throws IOException {
    Path other = Files.createDirectory(path("other"));
    try (var files = Files.list(checkpoint)) {
      for (Path file : files.toList()) {
        Files.copy(file, other.resolve(file.getFileName().toString()));
      }
    }
    Path config = other.resolve("config.json");
    String text = Files.readString(config);
    Files.writeString(config, text.replaceAll("\"rms_norm_eps\": [^,]+", "\"rms_norm_eps\": 0.01"));
    assertEquals(
        0, CommandLineTest.moxie("convert", other.toString(), pack.toString(), "--force").status());
    var outcome = verifyAll();
    assertEquals(1, outcome.status(), outcome.err());
    String diagnosis = "Layer 0 is the first that differs";
    for (String form : List.of(outcome.out(), html(), junit(), markdown())) {
      assertTrue(form.contains(diagnosis), form);
    }
    assertTrue(html().indexOf(diagnosis) < html().indexOf("Not checked"), "prominently");
  }

  @Test
  void aReferenceWithAnotherNumberOfExpertsPerTokenIsADifference() throws IOException {
    Path other = Files.createDirectory(path("other"));
    try (var files = Files.list(checkpoint)) {
      for (Path file : files.toList()) {
        Files.copy(file, other.resolve(file.getFileName().toString()));
      }
    }
    Path config = other.resolve("config.json");
    String text = Files.readString(config);
    Files.writeString(
        config, text.replaceAll("\"num_experts_per_tok\": \\d+", "\"num_experts_per_tok\": 1"));
    Files.writeString(other.resolve("notes:1.txt"), "a name that a package may not state");
    var converted = CommandLineTest.moxie("convert", other.toString(), pack.toString(), "--force");
    assertEquals(0, converted.status());
    assertTrue(converted.err().contains("left behind notes:1.txt"), converted.err());
    var outcome = verifyAll();
    assertEquals(1, outcome.status(), outcome.err());
    for (String form : List.of(outcome.out(), html(), junit(), markdown())) {
      assertTrue(form.contains("experts per token: 1 in the package"), form);
    }
    var exported = CommandLineTest.moxie("export", pack.toString(), path("x").toString());
    assertTrue(exported.out().contains("without notes:1.txt"), exported.out());
    assertFalse(exported.out().contains("every file is"), exported.out());
  }

  @Test
  void aPackageThatCannotBeReadIsWrittenInEveryForm() throws IOException {
    assertEquals(0, verifyAll().status());
    Files.writeString(pack.resolve("moxie.json"), "{");
    var outcome = verifyAll();
    assertEquals(3, outcome.status(), outcome.err());
    assertTrue(outcome.out().startsWith("::error title="), outcome.out());
    for (String form : List.of(html(), junit(), markdown())) {
      assertTrue(form.contains("moxie.json"), form);
      assertTrue(form.contains("FAIL") || form.contains("failures=\"1\""), form);
      assertFalse(form.contains("✅"), "the earlier run's is gone");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"--html", "--junit", "--markdown"})
  void aHyphenIsStandardOutputAndThatAlone(String option) {
    var outcome = verify(option, "-");
    assertEquals(0, outcome.status(), outcome.err());
    String start = outcome.out().substring(0, 9).toLowerCase(Locale.ROOT);
    assertTrue(List.of("<!doctype", "<?xml ver", "## moxie ").contains(start), outcome.out());
    assertFalse(outcome.out().contains("verdict      pass"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--json --annotations",
        "--json --html -",
        "--html - --junit -",
        "--annotations --markdown -",
        "--html x --junit x"
      })
  void twoFormsInOnePlaceAreRefused(String options) {
    var outcome = verify(options.split(" "));
    assertEquals(2, outcome.status(), outcome.err());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
    assertFalse(outcome.out().contains("integrity"), outcome.out());
  }

  @Test
  void twoThingsInOnePlaceAreRefusedWhateverLinksLeadThere() throws IOException {
    Files.createDirectory(path("a"));
    Files.createSymbolicLink(path("b"), path("a"));
    for (String options :
        List.of(
            "--html a/x --junit b/x",
            "--routing-arrow x --html x",
            "--replay a/x --markdown b/x",
            "--routing-arrow a/x --replay b/x")) {
      String[] words = options.split(" ");
      words[1] = path(words[1]).toString();
      words[3] = path(words[3]).toString();
      var outcome = verify(words);
      assertEquals(2, outcome.status(), outcome.err());
      assertTrue(outcome.err().contains("the same as"), outcome.err());
      assertEquals("", outcome.out());
      assertEquals(1, outcome.err().lines().count(), outcome.err());
    }
    try (var left = Files.list(path("a"))) {
      assertEquals(0, left.count());
    }
    assertFalse(Files.exists(path("x")));
  }

  @Test
  void whatIsNoReportIsRefusedBeforeAnythingIsVerified() throws IOException {
    Path weights = Files.writeString(path("model.safetensors"), "weights");
    var outcome = verify("--html", weights.toString(), "--junit", path("r.xml").toString());
    assertEquals(2, outcome.status(), outcome.err());
    assertEquals("", outcome.out());
    assertEquals("weights", Files.readString(weights));
    assertEquals(2, verify("--html", pack.resolve("r.html").toString()).status());
    assertEquals(4, verify("--html", weights.resolve("r.html").toString()).status());
  }
}

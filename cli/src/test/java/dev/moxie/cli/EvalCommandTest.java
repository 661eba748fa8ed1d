package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.cli.CommandLineTest.Outcome;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class EvalCommandTest {
  private static final String IDS = "1,2,3,5,8,13,21,34,55,89,5,3";

  @TempDir static Path folder;
  private static String pack = "";
  private static String small = "";

  @BeforeAll
  static void convert() {
    String checkpoint = Fixtures.randomMixtrals().getFirst().toString();
    pack = folder.resolve("p").toString();
    small = folder.resolve("q").toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack).status());
    assertEquals(
        0,
        CommandLineTest.moxie(
                "convert", checkpoint, small, "--quantize", "int8", "--quantize-what", "all")
            .status());
  }

  private static Outcome eval(String... words) {
    return CommandLineTest.moxie(
        Stream.concat(Stream.of("eval"), Arrays.stream(words)).toArray(String[]::new));
  }

  @Test
  void aPackageAloneHasAPerplexityAndNoVerdict() {
    Outcome outcome = eval(pack, "--ids", IDS, "--json");
    assertEquals(0, outcome.status(), outcome.err());
    JsonNode report = StrictJson.mapper(true).readTree(outcome.out());
    assertTrue(report.at("/verdict").isNull());
    assertEquals(11, report.at("/scored").intValue());
    double mean = report.at("/likelihood/crossEntropy").doubleValue();
    assertEquals(Math.exp(mean), report.at("/likelihood/perplexity").doubleValue(), 1e-9);
    String text = eval(pack, "--ids", IDS).out();
    assertTrue(text.contains("scored       11 tokens, each once"), text);
  }

  @Test
  void ciCanHoldAQuantisedPackageToALimit() {
    String[] words = {small, "--against", pack, "--ids", IDS, "--json"};
    assertEquals(1, eval(and(words, "--max-kl", "0")).status());
    assertEquals(1, eval(and(words, "--max-kl", "0", "--min-agreement", "0")).status());
    Outcome held = eval(and(words, "--max-kl", "10", "--min-agreement", "0"));
    assertEquals(0, held.status(), held.err());
    JsonNode report = StrictJson.mapper(true).readTree(held.out());
    assertEquals("pass", report.at("/verdict").stringValue());
    assertEquals(2, report.at("/limits").size());
    double mean = report.at("/against/divergence/mean").doubleValue();
    assertEquals(mean, report.at("/limits/0/found").doubleValue());
    assertTrue(mean > 0 && mean <= report.at("/against/divergence/worst").doubleValue());
    assertTrue(report.at("/against/routing/0/flipped").isIntegralNumber());
    Outcome text = eval(small, "--against", pack, "--ids", IDS, "--max-kl", "0");
    assertTrue(text.out().contains("limit        FAIL  mean KL"), text.out());
  }

  private static String[] and(String[] words, String... more) {
    return Stream.concat(Arrays.stream(words), Arrays.stream(more)).toArray(String[]::new);
  }

  @Test
  void routingShowsWhatFlipsAgainstAnotherPackage() {
    Outcome outcome =
        CommandLineTest.moxie("routing", small, "--against", pack, "--ids", IDS, "--json");
    assertEquals(0, outcome.status(), outcome.err());
    JsonNode flips = StrictJson.mapper(true).readTree(outcome.out()).at("/flips");
    assertEquals(12, flips.at("/0/decisions").intValue());
    String deepseek = folder.resolve("d").toString();
    String checkpoint = Fixtures.randomDeepSeeks().getFirst().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, deepseek).status());
    assertOneSentence(
        2, CommandLineTest.moxie("routing", small, "--against", deepseek, "--ids", IDS));
  }

  @Test
  void wrongUsageIsOneSentence() {
    for (List<String> words :
        List.of(
            List.of(pack),
            List.of(pack, "--ids", "1"),
            List.of(pack, "--ids", IDS, "--context", "1"),
            List.of(pack, "--ids", IDS, "--stride", "0"),
            List.of(pack, "--ids", IDS, "--tokens", "0"),
            List.of(pack, "--ids", IDS, "--max-kl", "1"),
            List.of(pack, "--ids", IDS, "--against", pack, "--max-kl", "-1"),
            List.of(pack, "--ids", IDS, "--against", pack, "--max-kl", "NaN"),
            List.of(pack, "--ids", IDS, "--against", pack, "--min-agreement", "1.5"),
            List.of(pack, "--text", folder.resolve("nowhere").toString()))) {
      Outcome outcome = eval(words.toArray(String[]::new));
      assertTrue(outcome.status() == 2 || outcome.status() == 3, outcome.err());
      assertOneSentence(outcome.status(), outcome);
    }
  }

  private static void assertOneSentence(int status, Outcome outcome) {
    assertEquals(status, outcome.status(), outcome.err());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
    assertEquals("", outcome.out());
  }
}

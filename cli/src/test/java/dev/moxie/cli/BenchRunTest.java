package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.moxie.cli.CommandLineTest.Outcome;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** The shape of what {@code moxie bench run} prints. */
class BenchRunTest {
  private static final String PEER =
      "echo '{\"prompt\":4,\"decode\":3,\"batch\":1,\"first_token_ms\":9,"
          + "\"prefill_per_s\":{\"median\":10},\"decode_per_s\":{\"median\":10}}'";

  @TempDir static Path folder;
  private static String pack = "";

  @BeforeAll
  static void convert() {
    pack = folder.resolve("p").toString();
    String checkpoint = Fixtures.randomMixtrals().getFirst().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack).status());
  }

  private static Outcome bench(String... options) {
    List<String> words =
        new ArrayList<>(
            List.of("bench", "run", pack, "--prompt", "4", "--decode", "3", "--reps", "2"));
    words.addAll(List.of(options));
    return CommandLineTest.moxie(words.toArray(String[]::new));
  }

  @Test
  void aPersonReadsOneLineForEachThing() {
    Outcome outcome = bench("--together", "5", "--against", PEER);
    assertEquals(0, outcome.status(), outcome.err());
    String number = "[\\d.]+";
    String shape =
        ("%s  on CPU, \\d+ threads; prompt 4, then 3 tokens; median of 2, after one .*\n"
                + "open       # ms, first token after # ms\n"
                + "( +# ms of it to hold the model to the oracle, once: .*\n)?"
                + "prefill    # tokens/s, best #\n"
                + "decode     # tokens/s, best decile #\n"
                + "together   5 texts: # tokens/s, # times one text's\n"
                + "  weights  # MB read per step, so that at most # times were to be had: # %% of"
                + " it\n"
                + "(resident   .*\n)+"
                + "weights    # MB read per decoded token\n"
                + "bandwidth  # GB/s, reading # MB of the weights; decoding reaches # %%\n"
                + "arithmetic # GFLOP/s in float32, of which the prompt reaches # %%; weights out"
                + " of the cache, one token: # GB/s\n"
                + "(storage    # MB read per decoded token\n)?"
                + "against    \\Q%s\\E\n"
                + "  first token after 9 ms\n"
                + "  prefill  10.0 tokens/s, ratio #\n"
                + "  decode   10.0 tokens/s, ratio #\n")
            .formatted("\\Q" + pack + "\\E", PEER)
            .replace("#", number);
    assertTrue(outcome.out().matches(shape), outcome.out());
  }

  @Test
  void aProgramReadsOneObjectThatHasWhatThePeersHas() {
    Outcome outcome = bench("--json");
    assertEquals(0, outcome.status(), outcome.err());
    JsonNode report = StrictJson.mapper(true).readTree(outcome.out());
    assertEquals(4, report.at("/prompt").intValue());
    assertEquals(3, report.at("/decode").intValue());
    assertEquals(1, report.at("/batch").intValue());
    assertEquals(2, report.at("/reps").intValue());
    assertTrue(report.at("/against").isNull());
    for (String figure :
        List.of(
            "/threads",
            "/open_ms",
            "/first_token_ms",
            "/prefill_per_s/median",
            "/prefill_per_s/best",
            "/decode_per_s/median",
            "/decode_per_s/best_decile",
            "/weight_bytes_per_token",
            "/together/texts",
            "/together/tokens_per_s",
            "/together/weight_bytes_per_step",
            "/together/ratio",
            "/together/ratio_of_bytes",
            "/bandwidth/bytes",
            "/bandwidth/gb_per_s",
            "/bandwidth/reached",
            "/arithmetic/gflop_per_s",
            "/arithmetic/reached",
            "/arithmetic/weights_gb_per_s")) {
      assertTrue(report.at(figure).doubleValue() > 0, figure + " in " + outcome.out());
    }
    assertTrue(report.has("resident_mb"), outcome.out());
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aBudgetOfMemoryIsReportedWithTheRoutingThatUsedIt() throws IOException {
    assumeFalse(Files.getFileStore(folder).type().equals("tmpfs"));
    Outcome outcome = bench("--memory-budget", "1GB", "--json");
    assertEquals(0, outcome.status(), outcome.err());
    JsonNode report = StrictJson.mapper(true).readTree(outcome.out());
    JsonNode experts = report.at("/experts");
    assertEquals(1_000_000_000, experts.at("/budget").intValue());
    assertTrue(experts.at("/hits").doubleValue() > 0, outcome.out());
    assertTrue(report.at("/bandwidth").isNull(), "its read test would need the memory");
    for (JsonNode layer : experts.at("/layers")) {
      JsonNode tokens = layer.at("/tokens");
      int most = tokens.get(layer.at("/most").intValue()).intValue();
      int least = tokens.get(layer.at("/least").intValue()).intValue();
      for (JsonNode count : tokens) {
        assertTrue(least <= count.intValue() && count.intValue() <= most, outcome.out());
      }
    }
    assertTrue(bench("--memory-budget", "1GB").out().contains("\nexperts    "), outcome.out());
  }

  static Stream<Path> vectors() throws IOException {
    return RunCommandTest.vectors();
  }

  @ParameterizedTest
  @MethodSource("vectors")
  void aValidPackageIsMeasuredOrItIsSaidWhyNot(Path vector) {
    Outcome outcome =
        CommandLineTest.moxie(
            "bench", "run", vector.toString(), "--prompt", "2", "--decode", "2", "--json");
    JsonNode report = StrictJson.mapper(true).readTree(outcome.out());
    if (outcome.status() == 0) {
      assertTrue(report.at("/bandwidth/reached").doubleValue() > 0, outcome.out());
    } else {
      assertEquals(3, outcome.status(), outcome.err());
      String why = report.at("/error").stringValue();
      assertTrue(
          why.contains("finite in float32")
              || why.contains("one whose encoder reads it first")
              || why.contains("patches of an image"),
          why);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"--prompt", "--decode", "--together", "--reps"})
  void nothingIsNotMeasured(String option) {
    Outcome outcome = CommandLineTest.moxie("bench", "run", pack, option, "0");
    assertEquals(2, outcome.status());
    assertTrue(
        outcome.err().contains(option + ": expected a number from 1, found 0"), outcome.err());
  }

  @Test
  void aPeerThatFailsEndsTheCommandWithASentence() {
    Outcome outcome = bench("--against", "exit 7", "--json");
    assertEquals(4, outcome.status());
    assertTrue(
        outcome.err().startsWith("moxie: --against exit 7: expected exit status 0, found 7"),
        outcome.err());
    assertTrue(StrictJson.mapper(true).readTree(outcome.out()).has("error"), outcome.out());
  }
}

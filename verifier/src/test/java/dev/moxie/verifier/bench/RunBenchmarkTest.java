package dev.moxie.verifier.bench;

import dev.moxie.runtime.execution.Resident;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.Packages;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is measured, never how much of it there is. */
class RunBenchmarkTest {
  private static final String PEER =
      """
      {"model":"m","threads":2,"prompt":8,"decode":3,"batch":1,"reps":1,"first_token_ms":812,
       "prefill_per_s":{"median":100,"best":120},"decode_per_s":{"median":50.5,"best_decile":60}}
      """;

  @TempDir Path folder;

  /** The first four are what {@code source(1, 32000)(4)} of runtime-gpu/bench/llama.mjs gives. */
  @Test
  void tokensAreThePeersInEachRun() {
    var tokens = new RandomTokens(1, 32000);
    assertArrayEquals(new long[] {7566, 11816, 16135, 22556}, tokens.next(4));
    assertArrayEquals(tokens(4), tokens(4));
    assertTrue(Arrays.stream(tokens(10_000)).allMatch(id -> id >= 0 && id < 7));
    assertEquals(7, Arrays.stream(tokens(10_000)).distinct().count());
  }

  private static long[] tokens(int count) {
    return new RandomTokens(1, 7).next(count);
  }

  @Test
  void aQuantileIsANumberThatWasMeasured() {
    List<Double> numbers = List.of(5.0, 1.0, 4.0, 2.0, 3.0);
    assertEquals(3, Quantile.median(numbers));
    assertEquals(1, Quantile.of(numbers, 0));
    assertEquals(2, Quantile.of(numbers, 0.1));
    assertEquals(9, Quantile.median(List.of(9.0)));
  }

  @Test
  void memoryIsReadWhereTheSystemSaysIt() {
    assertEquals(
        new Resident(1.024, 2.048),
        Resident.of("Name:\tx\nRssAnon:\t 1000 kB\nRssFile:\t2000 kB\n"));
    assertNull(Resident.of("Name:\tx\nVmRSS:\t3000 kB\n"));
  }

  @Test
  void aPeerIsRunAfterEachRepetitionAndCompared() throws Exception {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    Path peer = Files.writeString(folder.resolve("peer.json"), PEER);
    Path runs = folder.resolve("runs");
    String command = "echo x >> '" + runs + "'; cat '" + peer + "'";
    RunReport report =
        RunBenchmark.run(pack, Device.CPU, Execution.PLAIN, 8, 3, 4, 2, null, command);
    assertEquals(2, Files.readAllLines(runs).size());
    RunReport.Against against = report.against();
    assertNotNull(against);
    assertEquals(812, against.firstTokenMs());
    assertEquals(report.prefillPerS().median() / 100, against.prefillRatio());
    assertEquals(report.decodePerS().median() / 50.5, against.decodeRatio());
    assertNotEquals(0, report.weightBytesPerToken());
    assertTrue(report.firstTokenMs() >= report.openMs());
    RunReport.Together together = report.together();
    assertEquals(together.tokensPerS() / report.decodePerS().median(), together.ratio());
    assertEquals(
        4.0 * report.weightBytesPerToken() / together.weightBytesPerStep(),
        together.ratioOfBytes());
    assertTrue(together.ratioOfBytes() > 1, "weights are read once for all texts");
    Peer same = Peer.of("moxie", report.json().getBytes(StandardCharsets.UTF_8), 8, 3);
    assertEquals(report.decodePerS().median(), same.decodePerS());
  }

  @Test
  void whatOnlyThePlainExecutionShowsIsSaidNotToBeMeasured() {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    RunReport report = RunBenchmark.run(pack, Device.CPU, Execution.FUSED, 8, 3, 4, 1, null, null);
    assertTrue(report.decodePerS().median() > 0);
    assertNull(report.together());
    assertNull(report.weightBytesPerToken());
    assertTrue(report.text().contains("on CPU"), report.text());
    assertTrue(report.text().contains("weights    not measured"), report.text());
    assertThrows(
        UsageException.class,
        () -> RunBenchmark.run(pack, Device.CPU, Execution.FUSED, 8, 3, 4, 1, 1L << 30, null));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"prompt\":8 | \"prompt\":9 | expected prompt 8, as here, found 9",
        "\"decode\":3 | \"steps\":3 | expected decode 3, as here, found none",
        "\"batch\":1 | \"batch\":8 | expected batch 1, as here, found 8",
        "50.5 | 0 | expected a number above 0 at /decode_per_s/median, found 0",
        "50.5 | \"50.5\" | expected a number above 0 at /decode_per_s/median, found \"50.5\"",
        "50.5 | 1e999 | expected a number above 0 at /decode_per_s/median, found \"Infinity\"",
        "{\"model\" | {{ | expected one JSON object, found \"{{"
      })
  void aPeerThatMeasuresSomethingElseIsRefused(String from, String to, String sentence) {
    assertTrue(PEER.contains(from), from);
    byte[] printed = PEER.replace(from, to).getBytes(StandardCharsets.UTF_8);
    String message =
        assertThrows(EnvironmentException.class, () -> Peer.of("other", printed, 8, 3))
            .getMessage();
    assertTrue(message.startsWith("--against other: " + sentence), message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "true | expected one JSON object, found nothing",
        "exit 3 | expected exit status 0, found 3",
        "yes | expected at most 1048576 bytes printed, found more"
      })
  void aPeerThatFailsIsSaidTo(String command, String sentence) {
    String message =
        assertThrows(EnvironmentException.class, () -> Peer.run(command, 8, 3)).getMessage();
    assertTrue(message.startsWith("--against " + command + ": " + sentence), message);
  }

  @Test
  void tokensThatDoNotFitTheModelAreRefused() {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    String message =
        assertThrows(
                UsageException.class,
                () ->
                    RunBenchmark.run(
                        pack, Device.CPU, Execution.PLAIN, 1, Integer.MAX_VALUE, 1, 1, null, null))
            .getMessage();
    assertTrue(message.contains("512 positions together, found 1 and 2147483647"), message);
  }
}

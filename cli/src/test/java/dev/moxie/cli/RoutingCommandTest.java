package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.cli.CommandLineTest.Outcome;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class RoutingCommandTest {
  @TempDir Path folder;
  private String pack = "";

  @BeforeEach
  void convert() {
    pack = convert(Fixtures.tinyMixtral(), "p");
  }

  private String convert(Path checkpoint, String name) {
    String target = folder.resolve(name).toString();
    Outcome outcome = CommandLineTest.moxie("convert", checkpoint.toString(), target);
    assertEquals(0, outcome.status(), outcome.err());
    return target;
  }

  private Outcome routing(String... arguments) {
    return CommandLineTest.moxie(
        Stream.concat(Stream.of("routing", pack), Arrays.stream(arguments)).toArray(String[]::new));
  }

  @Test
  void jsonHasEveryNumberAndTextShowsThem() throws IOException {
    Path text = Files.writeString(folder.resolve("t"), "Once upon a time\n".repeat(200));
    String[] corpus = {"--text", text.toString(), "--prompt", "3 + 4 =", "--ids", "5, 6,7"};
    Outcome outcome =
        routing(Stream.concat(Arrays.stream(corpus), Stream.of("--json")).toArray(String[]::new));
    assertEquals(0, outcome.status(), outcome.err());
    JsonNode report = StrictJson.mapper(true).readTree(outcome.out());
    assertEquals(512, report.at("/maxTokens").intValue());
    assertEquals(3, report.at("/sources").size());
    assertEquals(3, report.at("/sources/2/tokens").intValue());
    long tokens = report.at("/tokens").longValue();
    assertEquals(4, report.at("/layers").size());
    for (JsonNode layer : report.at("/layers").values()) {
      long chosen = 0;
      for (JsonNode count : layer.at("/utilisation/counts").values()) {
        chosen += count.longValue();
      }
      assertEquals(2 * tokens, chosen);
      double scores = 0;
      for (JsonNode score : layer.at("/meanScores").values()) {
        scores += score.doubleValue();
      }
      assertEquals(1, scores, 1e-6);
      assertEquals(8, layer.at("/meanWeights").size());
      double margin = layer.at("/smallestMargin").doubleValue();
      assertTrue(margin >= 0 && margin <= layer.at("/medianMargin").doubleValue());
      assertTrue(layer.at("/loadBalancingLoss").isNumber());
      assertTrue(layer.at("/withinFloat32").isIntegralNumber());
    }
    assertTrue(report.at("/equations").size() > 5);
    Outcome table = routing(corpus);
    assertEquals(4, table.out().lines().filter(line -> line.contains(" of 8 ")).count());
    assertTrue(table.out().contains("without a reference, hence no verdict"), table.out());
    assertTrue(table.out().contains("Switch Transformers, 2021, equation 5"), table.out());
  }

  @Test
  void aPackageWithoutTokenizerIsRunOnTokens() {
    pack = convert(Fixtures.root().resolve("variants/v2-grouped"), "q");
    assertOneSentence(3, routing("--prompt", "x"));
    assertEquals(0, routing("--ids", "1,2,3").status());
  }

  @Test
  void whatCannotBeRunIsSaidInOneSentenceAndLeavesNoFile() throws IOException {
    String empty = Files.writeString(folder.resolve("empty"), "").toString();
    String binary = Files.write(folder.resolve("b"), new byte[] {1, (byte) 0xc0, 2}).toString();
    Path out = Files.createDirectory(folder.resolve("out"));
    String arrow = out.resolve("r.arrow").toString();
    for (List<String> line :
        List.of(
            List.<String>of(),
            List.of("--text", empty),
            List.of("--text", folder.resolve("nowhere").toString()),
            List.of("--prompt", ""),
            List.of("--ids", "1,512"),
            List.of("--ids", "-1"),
            List.of("--ids", "1,,2"),
            List.of("--ids", ""),
            List.of("--ids", "1", "--max-tokens", "513"),
            List.of("--ids", "1", "--max-tokens", "0"),
            List.of("--prompt", "x", "--max-tokens", "1"),
            List.of("--ids", "1", "--replay", arrow))) {
      List<String> words = new ArrayList<>(line);
      words.addAll(List.of("--arrow", arrow));
      assertOneSentence(2, routing(words.toArray(String[]::new)));
    }
    assertOneSentence(3, routing("--text", binary, "--arrow", arrow));
    assertOneSentence(3, routing("--text", folder.toString(), "--arrow", arrow));
    try (Stream<Path> left = Files.list(out)) {
      assertEquals(List.of(), left.toList());
    }
  }

  @Test
  void whatGoesWrongIsSaidInJsonTooIfThatIsAskedFor() {
    Outcome outcome = routing("--ids", "1,512", "--json");
    assertEquals(2, outcome.status(), outcome.err());
    JsonNode failure = StrictJson.mapper(true).readTree(outcome.out());
    assertEquals("moxie: " + failure.at("/error").stringValue(), outcome.err().strip());
  }

  @Test
  void noFileIsWrittenIntoAPackageThroughALinkNorTwoIntoOne() throws IOException {
    Path link = Files.createSymbolicLink(folder.resolve("link"), Path.of(pack));
    assertOneSentence(2, routing("--ids", "1", "--arrow", link.resolve("x.arrow").toString()));
    Path a = Files.createDirectory(folder.resolve("a"));
    Path b = Files.createSymbolicLink(folder.resolve("b"), a);
    Outcome two = routing("--ids", "1", "--arrow", a.resolve("x").toString(), "--replay", b + "/x");
    assertOneSentence(2, two);
    assertTrue(two.err().contains("the same as"), two.err());
    try (Stream<Path> left = Files.list(a)) {
      assertEquals(List.of(), left.toList());
    }
  }

  @Test
  void verifyWritesDecisionsOnlyBesideAReference() {
    String arrow = folder.resolve("r.arrow").toString();
    assertOneSentence(2, CommandLineTest.moxie("verify", pack, "--routing-arrow", arrow));
    assertFalse(Files.exists(Path.of(arrow)));
    String trace = Fixtures.traces(Fixtures.tinyMixtral()).getFirst().toString();
    String replay = folder.resolve("r.safetensors").toString();
    Outcome outcome =
        CommandLineTest.moxie(
            "verify", pack, "--reference", trace, "--routing-arrow", arrow, "--replay", replay);
    assertEquals(0, outcome.status(), outcome.err());
    assertTrue(Files.exists(Path.of(arrow)));
    assertTrue(Files.exists(Path.of(replay)));
  }

  @Test
  void aRunThatIsEndedFromOutsideLeavesNothing() throws Exception {
    Path text =
        Files.writeString(folder.resolve("t"), "Once upon a time a small owl\n".repeat(400_000));
    Path out = Files.createDirectory(folder.resolve("out"));
    Process process =
        new ProcessBuilder(
                Jvm.command(
                    Main.class,
                    List.of(),
                    List.of(
                        "routing",
                        pack,
                        "--text",
                        text.toString(),
                        "--arrow",
                        out.resolve("r.arrow").toString(),
                        "--replay",
                        out.resolve("r.safetensors").toString())))
            .start();
    Path partial = out.resolve(".r.safetensors.routed_experts.moxie-partial");
    while (process.isAlive() && !(Files.exists(partial) && Files.size(partial) > 0)) {
      Thread.onSpinWait();
    }
    assertTrue(process.isAlive(), "it was over before it could be ended");
    process.destroy();
    process.waitFor();
    try (Stream<Path> left = Files.list(out)) {
      assertEquals(List.of(), left.toList());
    }
  }

  private static void assertOneSentence(int status, Outcome outcome) {
    assertEquals(status, outcome.status(), outcome.err());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
    assertTrue(outcome.err().startsWith("moxie: "), outcome.err());
    assertFalse(outcome.err().contains("bug in Moxie"), outcome.err());
    assertEquals("", outcome.out());
  }
}

package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;

/** A program that asks for JSON gets JSON, whatever goes wrong. */
class JsonErrorsTest {
  @TempDir Path folder;

  static Stream<String> verbsWithJson() {
    return Verbs.all().stream()
        .filter(verb -> verb.has("--json") && verb.wantsMore())
        .map(Verbs.Verb::words);
  }

  @ParameterizedTest
  @MethodSource("verbsWithJson")
  void everyVerbThatPrintsJsonPrintsItsErrorsSo(String verb) {
    for (List<String> words :
        List.of(
            List.of("--json"),
            List.of("nowhere", "nowhere", "--json"),
            List.of("nowhere", "nowhere", "nowhere", "--json"),
            List.of("nowhere", "--no-such-option", "--json"))) {
      var outcome =
          CommandLineTest.moxie(
              Stream.concat(Stream.of(verb.split(" ")), words.stream()).toArray(String[]::new));
      assertEquals(2, outcome.status(), outcome.err());
      JsonNode error = StrictJson.mapper(true).readTree(outcome.out());
      assertEquals("fail", error.at("/verdict").stringValue());
      assertEquals("moxie: " + error.at("/error").stringValue(), outcome.err().strip());
    }
  }

  @Test
  void anErrorTakesTheReportsPlace() {
    String checkpoint = Fixtures.randomMixtrals().getFirst().toString();
    String pack = folder.resolve("p").toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack).status());
    var outcome = CommandLineTest.moxie("inspect", pack, "--json", "--onnx", pack + "/x");
    assertEquals(2, outcome.status());
    assertTrue(StrictJson.mapper(true).readTree(outcome.out()).has("error"), outcome.out());
  }
}

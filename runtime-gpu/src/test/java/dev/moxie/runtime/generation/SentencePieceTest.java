package dev.moxie.runtime.generation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.tokenizer.SentencePieceFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;

/**
 * Texts are cut and joined as google/sentencepiece does it, whose answers lie beside the models.
 */
class SentencePieceTest {
  private static final Path MODELS =
      Path.of(
          System.getProperty(
              "moxie.sentencepiece", Fixtures.root().resolve("sentencepiece").toString()));

  static List<Path> models() throws IOException {
    try (Stream<Path> files = Files.list(MODELS)) {
      return files.filter(file -> file.toString().endsWith(".model")).sorted().toList();
    }
  }

  private static SentencePiece open(Path model) {
    return new SentencePiece(SentencePieceFile.read(model));
  }

  private static JsonNode expected(Path model) {
    String name = model.getFileName().toString().replace(".model", ".json");
    return StrictJson.readObject(model.resolveSibling(name));
  }

  private static long[] ids(JsonNode node) {
    return node.path("ids").valueStream().mapToLong(JsonNode::longValue).toArray();
  }

  @Test
  void bothAlgorithmsAreHeldToTheReference() throws IOException {
    assertEquals(
        2L, models().stream().map(m -> SentencePieceFile.read(m).algorithm()).distinct().count());
  }

  @ParameterizedTest
  @MethodSource("models")
  void textsHaveTheReferencesTokens(Path model) {
    SentencePiece pieces = open(model);
    for (JsonNode each : expected(model).path("encoded")) {
      String text = each.path("text").stringValue();
      assertArrayEquals(ids(each), pieces.encode(text), text);
      assertEquals(each.path("decoded").stringValue(), pieces.decode(ids(each)), text);
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void tokensInAnyOrderHaveTheReferencesText(Path model) {
    SentencePiece pieces = open(model);
    for (JsonNode each : expected(model).path("decoded")) {
      assertEquals(
          each.path("decoded").stringValue(),
          pieces.decode(ids(each)),
          () -> LongStream.of(ids(each)).boxed().toList().toString());
    }
  }
}

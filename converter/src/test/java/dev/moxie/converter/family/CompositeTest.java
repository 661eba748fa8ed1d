package dev.moxie.converter.family;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** What config.json and the text_config in it may both say is not taken from one unread. */
class CompositeTest {
  private static final String TIED = "tie_word_embeddings";
  private static final String QUANTISED = "quantization_config";

  @ParameterizedTest
  @ValueSource(strings = {"qwen3_vl_moe", "qwen3_5_moe_fused", "kimi_k25", "gemma4"})
  void eitherSaysWhetherTheHeadIsTheEmbedding(String fixture) {
    ObjectNode json = model(fixture);
    ObjectNode text = text(json);
    json.put(TIED, true);
    text.put(TIED, true);
    assertTrue(describe(json).architecture().tiedEmbeddings());
    text.remove(TIED);
    assertTrue(describe(json).architecture().tiedEmbeddings());
    text.put(TIED, true);
    json.remove(TIED);
    assertTrue(describe(json).architecture().tiedEmbeddings());
    text.remove(TIED);
    Family family = Families.named(json.path("model_type").asString()).orElseThrow();
    boolean otherwise = Objects.requireNonNull(family.composite()).tied();
    assertEquals(otherwise, describe(json).architecture().tiedEmbeddings());
    text.put(TIED, true);
    assertRefused(json.put(TIED, false), TIED);
  }

  @ParameterizedTest
  @ValueSource(strings = {"qwen3_vl_moe", "qwen3_5_moe_fused", "kimi_k25", "gemma4"})
  void eitherSaysHowWeightsAreStored(String fixture) {
    ObjectNode json = model(fixture);
    ObjectNode text = text(json);
    ObjectNode fp8 = json.objectNode().put("quant_method", "fp8");
    fp8.putArray("weight_block_size").add(32).add(16);
    json.set(QUANTISED, fp8);
    text.remove(QUANTISED);
    assertEquals(new Fp8Block(32, 16), describe(json).encodings().usual());
    text.set(QUANTISED, fp8.deepCopy());
    assertRefused(json, QUANTISED);
    json.remove(QUANTISED);
    assertEquals(new Fp8Block(32, 16), describe(json).encodings().usual());
    text.remove(QUANTISED);
    assertEquals(Encoding.PLAIN, describe(json).encodings().usual());
  }

  @ParameterizedTest
  @ValueSource(strings = {"qwen3_vl_moe", "qwen3_5_moe_fused", "kimi_k25", "gemma4"})
  void whatIsBesideTheTextMayBeAnything(String fixture) {
    ObjectNode json = model(fixture);
    Family.Description plain = describe(json);
    Family family = Families.named(json.path("model_type").asString()).orElseThrow();
    for (String key : Objects.requireNonNull(family.composite()).others().names()) {
      json.putArray(key).add(0.5);
    }
    assertEquals(plain, describe(json));
  }

  private static void assertRefused(ObjectNode json, String key) {
    String message =
        String.valueOf(
            assertThrows(InvalidInputException.class, () -> describe(json)).getMessage());
    assertTrue(message.contains(key) && message.contains(Composite.TEXT), message);
  }

  private static ObjectNode model(String fixture) {
    return StrictJson.readObject(
        Fixtures.root().resolve("random").resolve(fixture).resolve("config.json"));
  }

  private static ObjectNode text(ObjectNode json) {
    return (ObjectNode) json.get(Composite.TEXT);
  }

  private static Family.Description describe(ObjectNode json) {
    Config config = Config.parse("config.json", json.toString().getBytes(StandardCharsets.UTF_8));
    return Families.of(config).describe(config);
  }
}

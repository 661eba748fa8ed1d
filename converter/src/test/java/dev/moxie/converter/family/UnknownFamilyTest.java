package dev.moxie.converter.family;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** Whoever has a model of another family learns how far it is from those that there are. */
class UnknownFamilyTest {
  /** Of a model within another the text_config is named instead. */
  static final Iterable<String> FAMILIES =
      Families.ALL.stream().filter(f -> !f.isAlwaysWithin()).map(Family::name).toList();

  @ParameterizedTest
  @FieldSource("FAMILIES")
  void aFamilyUnderAnotherNameIsNearestToItself(String family) {
    String message = refusal(family, json -> {});
    assertTrue(
        message.contains("the nearest that it does is " + family + ", which knows"), message);
  }

  @Test
  void theKeysThatDifferAreNamed() {
    String message =
        refusal(
            "qwen3_moe",
            json -> {
              json.put("mamba_d_conv", 4);
              json.put("mamba_d_state", 16);
              json.remove("num_experts");
              json.remove("num_local_experts");
            });
    assertTrue(
        message.contains(
            "qwen3_moe, which does not know mamba_d_conv, mamba_d_state and needs"
                + " num_experts"),
        message);
    assertEquals(1, message.lines().count());
  }

  @Test
  void aLongListIsCutShort() {
    String message =
        refusal(
            "mixtral",
            json -> {
              for (int i = 0; i < 1000; i++) {
                json.put("odd_" + i, 1);
              }
            });
    assertTrue(message.contains("and 995 more"), message);
  }

  @Test
  void aModelOfSeveralKindsOfInputIsKnownByItsText() {
    byte[] json =
        "{\"model_type\": \"newcomer\", \"text_config\": {\"model_type\": \"llama4_text\"}}"
            .getBytes(StandardCharsets.UTF_8);
    String message = message(Config.parse("config.json", json));
    assertTrue(message.contains("its text_config is a llama4_text"), message);
  }

  @ParameterizedTest
  @ValueSource(strings = {"rope_scaling", "text_config", "attn_config"})
  void whatElseIsWrongDoesNotHideTheModelType(String key) {
    assertTrue(refusal("mixtral", json -> json.put(key, 7)).contains("\"model_type\""));
  }

  private static String refusal(String family, Consumer<ObjectNode> change) {
    Path checkpoint =
        Stream.of("random", "encoders", "papers")
            .map(folder -> Fixtures.root().resolve(folder).resolve(family))
            .filter(Files::exists)
            .findFirst()
            .orElseThrow();
    ObjectNode json = StrictJson.readObject(checkpoint.resolve("config.json"));
    // Within another model it is an object.
    json = json.path("text_config") instanceof ObjectNode text ? text : json;
    json.put("model_type", "newcomer");
    change.accept(json);
    return message(Config.parse("config.json", json.toString().getBytes(StandardCharsets.UTF_8)));
  }

  private static String message(Config config) {
    return String.valueOf(
        assertThrows(UnsupportedException.class, () -> Families.of(config)).getMessage());
  }
}

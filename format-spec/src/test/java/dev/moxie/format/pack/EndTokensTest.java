package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EndTokensTest {
  private static final int VOCABULARY = 512;

  private static EndTokens read(Map<String, String> files) {
    return EndTokens.of(
        name ->
            Optional.ofNullable(files.get(name)).map(text -> text.getBytes(StandardCharsets.UTF_8)),
        name -> "c/" + name,
        VOCABULARY);
  }

  private static EndTokens generation(String value) {
    return read(
        Map.of(
            "generation_config.json",
            "{\"eos_token_id\": " + value + "}",
            "config.json",
            "{\"eos_token_id\": 3}"));
  }

  @Test
  void theGenerationConfigGoesBeforeTheConfig() {
    assertEquals(Set.of(2L), generation("2").ids());
    assertEquals(Set.of(2L, 5L), generation("[5, 2, 5]").ids());
    assertEquals(Set.of(), generation("[]").ids(), "a list of none says that nothing ends a text");
    assertEquals(Set.of(3L), generation("null").ids());
    assertEquals(Set.of(3L), read(Map.of("config.json", "{\"eos_token_id\": [3]}")).ids());
    assertEquals(Set.of(), read(Map.of("config.json", "{}")).ids());
    assertEquals(Set.of(), read(Map.of()).ids());
  }

  @ParameterizedTest
  @ValueSource(strings = {"512", "-1", "9223372036854775807", "-9223372036854775808"})
  void oneOutsideTheVocabularyEndsNothingAndIsSaid(String id) {
    assertEquals(Set.of(), generation(id).ids());
    EndTokens beside = generation("[7, " + id + "]");
    assertEquals(Set.of(7L), beside.ids(), "the valid one beside it keeps its effect");
    String warning = beside.warning().orElseThrow();
    assertTrue(warning.contains(id) && warning.contains("generation_config.json"), warning);
    assertTrue(generation("[0, 511]").warning().isEmpty());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"2\"",
        "1.5",
        "2.0",
        "1e2",
        "true",
        "{}",
        "{\"id\": 2}",
        "[[2]]",
        "[2, null]",
        "[2, \"x\"]",
        "9223372036854775808",
        "-9223372036854775809",
        "[2, 9999999999999999999999999999]"
      })
  void whatIsNoTokenIsRefusedInEitherFile(String value) {
    assertRefused("generation_config.json", () -> generation(value));
    String json = "{\"eos_token_id\": " + value + "}";
    assertRefused("config.json", () -> read(Map.of("config.json", json)));
    assertRefused(
        "config.json",
        () -> read(Map.of("generation_config.json", "{\"eos_token_id\": 2}", "config.json", json)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "[]", "2", "{", "{\"eos_token_id\": 2, \"eos_token_id\": 2}"})
  void aGenerationConfigThatIsNoObjectIsRefused(String text) {
    assertRefused("generation_config.json", () -> read(Map.of("generation_config.json", text)));
  }

  private static void assertRefused(String file, org.junit.jupiter.api.function.Executable read) {
    String message = String.valueOf(assertThrows(CorruptException.class, read).getMessage());
    assertTrue(message.startsWith("c/" + file), message);
  }
}

package dev.moxie.format.json;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

class JsonWordsTest {
  /** Class names, and words that only who programs with the parser knows. */
  private static final Pattern FOREIGN =
      Pattern.compile(
          "\\b(java|dev\\.moxie|tools)\\.|`|ALLOW_|Feature|[Dd]eseriali|[Cc]oerc|creator|VALUE_|START_");

  enum Colour {
    RED
  }

  record Shape(
      int sides, double size, boolean open, String name, Colour colour, List<String> tags) {
    Shape {
      Objects.requireNonNull(name, "name is missing");
      if (sides < 3) {
        throw new IllegalArgumentException("expected at least 3 sides, found " + sides);
      }
    }
  }

  private static final Map<String, String> GOOD =
      Map.of(
          "sides", "3", "size", "1.5", "open", "true", "name", "'a'", "colour", "'RED'", "tags",
          "[]");

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "sides | 'x'                    | a whole number",
        "sides | 1.5                    | a whole number",
        "sides | 99999999999            | f.json at sides",
        "sides | {}                     | a whole number",
        "sides | null                   | a whole number",
        "sides | 2                      | expected at least 3 sides, found 2",
        "size  | 'x'                    | a number",
        "open  | 1                      | true or false",
        "name  | null                   | name is missing",
        "colour| 'blue'                 | blue",
        "colour| 0                      | a word of a fixed list",
        "tags  | 'x'                    | a list",
        "tags  | [[]]                   | text",
        "other | 1                      | a member \"other\" besides",
        "sides | 3,'sides':3            | sides",
        "sides | ;                      | ';'",
        "sides | +3                     | '+'",
        "sides | 0x3                    | 'x'",
        "size  | NaN                    | NaN",
        "name  | /* no */ 'a'           | '/'",
        "tags  | ['a',]                 | ']'",
        "tags  | []}{                   | more after its end",
      })
  void whatIsWrongIsSaidInTheWordsOfJson(String member, String value, String words) {
    var members = new java.util.TreeMap<>(GOOD);
    members.put(member, value);
    String json =
        members.entrySet().stream()
            .map(entry -> "'" + entry.getKey() + "':" + entry.getValue())
            .collect(java.util.stream.Collectors.joining(",", "{", "}"))
            .replace('\'', '"');
    JsonMapper mapper = StrictJson.mapper(false);
    JacksonException failure =
        assertThrows(JacksonException.class, () -> mapper.readValue(json, Shape.class));
    String message = String.valueOf(StrictJson.corrupt("f.json", failure).getMessage());
    assertTrue(message.contains(words), message);
    assertFalse(FOREIGN.matcher(message).find(), message);
    assertFalse(message.contains("found null"), message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {"[]|a list", "3|a whole number", "null|null", "1.5|a fraction", "true|true"})
  void aFileThatIsNoObjectIsNamedByItsKind(String json, String words) {
    byte[] bytes = json.getBytes(StandardCharsets.UTF_8);
    String message =
        String.valueOf(
            assertThrows(CorruptException.class, () -> StrictJson.parseObject("f.json", bytes))
                .getMessage());
    assertTrue(message.contains("found " + words + ";"), message);
  }
}

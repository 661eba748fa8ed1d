package dev.moxie.format.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.UsageException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LineTest {
  @Test
  void plainTextStaysAsItIs() {
    for (String text : new String[] {"", "layers.0", "größe Σ_{j∈S} 専門家 ▁▂█", "a::b", "# [1]"}) {
      assertEquals(text, Line.of(text));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\u001b]0;x\u0007",
        "a\nb",
        "a\r",
        "\u2028",
        "\u202e",
        "\u200b",
        "\u0000",
        "\ud800"
      })
  void whatMovesTheCursorOrHidesIsReplaced(String text) {
    String line = Line.of(text);
    assertTrue(line.contains("\uFFFD"), line);
    assertEquals(1, ("x" + line).lines().count());
    assertTrue(line.codePoints().noneMatch(Character::isISOControl), line);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"::error::x", "  ::add-mask::x", "\n::error::x", "x ##[error]y", "\t::warning::x"})
  void noLineIsACommandOfAWorkflow(String text) {
    for (String line : new String[] {Line.of(text), lines(text)}) {
      assertFalse(line.strip().startsWith("::"), line);
      assertFalse(line.contains("##["), line);
    }
  }

  private static String lines(String text) {
    var lines = new Lines();
    lines.add("%s is a name", text);
    return lines.toString();
  }

  @Test
  void aVeryLongTextIsCut() {
    assertTrue(Line.of("x".repeat(1_000_000)).length() < 3000);
  }

  @Test
  void errorsQuoteNamesSafelyAndKeepTheirRemedy() {
    String name = "\u001b[2J\n::error::" + "x".repeat(100_000);
    String message = String.valueOf(new UsageException(name, "a", name, "rename it").getMessage());
    assertEquals(1, message.lines().count());
    assertTrue(message.codePoints().noneMatch(Character::isISOControl), message);
    assertTrue(message.endsWith("; rename it."), message);
  }
}

package dev.moxie.format.tokenizer;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.moxie.format.error.UnsupportedException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PatternRuleTest {
  /** As in GPT-2, Llama 3, GPT-4o, DeepSeek-V2 and V3, and their like. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
            + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{M}]*[\\p{Ll}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
            + "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*",
        "[\\p{Lu}\\p{Lo}&&[^\\p{Han}]]+|[\\p{Han}]+|[[:alpha:]]",
        "[\\r\\n]",
        "\\s?\\p{L}+",
        "a{|}",
        "<0x\\x{41}\\u0042>",
      })
  void patternsOfReleasedTokenizersAreSound(String pattern) {
    assertDoesNotThrow(() -> PatternRule.check("here", pattern));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "a*",
        "a?",
        "(?=a)",
        "\\b",
        "a|",
        "()",
        "(a+)+$",
        "(a|a)*$",
        "a**",
        "a{2}{3}",
        "a{2}+",
        "(?:a?){40}b",
        "a?a?a?a?a?a?a?aaaaaaa",
        "(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)b",
        "\\s*\\s*x",
        "a+b{2,}c",
        "(?=.*x)y",
        "(?<=a)b",
        "(?<n>a)\\k<n>",
        "(a)\\1",
        "(a)(?1)",
        "(?>a)",
        "(?i)a",
        "\\Ka",
        "a{1000000}",
        "(((((((((a)))))))))",
        "[]a]",
        "[a",
        "[[:alpha",
        "(a",
        "a)",
        "\\",
        "\\p{L",
        "+a",
      })
  void whatMakesAnEngineGiveUpIsRefused(String pattern) {
    assertThrows(UnsupportedException.class, () -> PatternRule.check("here", pattern));
  }
}

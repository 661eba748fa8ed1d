package dev.moxie.format.tokenizer;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Files that end the process of whoever hands them to a tokenizer library. */
class TokenizerFileTest {
  private static final String SOUND =
      """
      {"added_tokens": [{"id": 0, "content": "<s>"}, {"id": 5, "content": "</s>"}],
       "normalizer": {"type": "Sequence", "normalizers": [
         {"type": "Prepend", "prepend": "_"},
         {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]},
       "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\\\s+"}, "behavior": "Isolated"},
       "post_processor": {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
       "decoder": {"type": "Strip", "content": " ", "start": 1, "stop": 0},
       "model": {"type": "BPE", "unk_token": "<s>", "continuing_subword_prefix": null,
         "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3, "aba": 4},
         "merges": [["a", "b"], "ab a"]}}
      """;

  @TempDir Path folder;
  private Path file;

  @BeforeEach
  void name() {
    file = folder.resolve(TokenizerFile.NAME);
  }

  private void check(String json) throws IOException {
    Files.writeString(file, json);
    TokenizerFile.check(file);
  }

  private void checkWith(String from, String to) throws IOException {
    assertTrue(SOUND.contains(from), from);
    check(SOUND.replaceFirst(Pattern.quote(from), Matcher.quoteReplacement(to)));
  }

  @Test
  void aSoundFilePasses() {
    assertDoesNotThrow(() -> check(SOUND));
  }

  static Stream<Arguments> lies() {
    return Stream.of(
        lie(
            "a template names a token that it does not declare",
            "{\"id\": \"<s>\", \"type_id\"",
            "{\"id\": \"a\", \"type_id\""),
        lie(
            "it declares one that the vocabulary has not",
            "\"tokens\": [\"<s>\"]",
            "\"tokens\": [\"x\"]"),
        lie("with an id of another", "\"ids\": [0]", "\"ids\": [1]"),
        lie("with more ids than tokens", "\"ids\": [0]", "\"ids\": [0, 1]"),
        lie("with none", "\"ids\": [0], \"tokens\": [\"<s>\"]", "\"ids\": [], \"tokens\": []"),
        lie(
            "a template of one text has a second",
            "\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}],\n",
            "\"Sequence\": {\"id\": \"B\"}}],\n"),
        lie("a template has no list", "\"pair\": [", "\"pair\": 7, \"other\": ["),
        lie("an added token has the id of another", "\"id\": 5", "\"id\": 0"),
        lie(
            "an added token is elsewhere in the vocabulary",
            "\"content\": \"</s>\"",
            "\"content\": \"ab\""),
        lie("an id is negative", "\"id\": 5", "\"id\": -5"),
        lie("an id is no number", "\"a\": 1", "\"a\": \"1\""),
        lie("an id needs more than 32 bits", "\"aba\": 4", "\"aba\": 4294967296"),
        lie("a part of a merge is unknown", "[\"a\", \"b\"]", "[\"a\", \"c\"]"),
        lie("a merge makes what is unknown", "[\"a\", \"b\"]", "[\"b\", \"a\"]"),
        lie("a merge has three parts", "\"ab a\"", "\"a b a\""),
        lie("a part of a merge is shorter than the prefix", "prefix\": null", "prefix\": \"##\""),
        lie("the unknown token is unknown", "\"unk_token\": \"<s>\"", "\"unk_token\": \"<u>\""),
        lie("chunks of no length", "\"stop\": 0", "\"stop\": 0, \"length\": 0"),
        lie("half a surrogate pair", "\"content\": \" \"", "\"content\": \"\\ud800\""),
        lie("a number beyond float64", "\"start\": 1", "\"start\": 1e999"),
        lie("a decoder that is cut short", "\"stop\": 0},", "\"stop\": 0,"),
        lie("a normaliser of no known type", "\"Prepend\"", "\"Reverse\""),
        lie("a sequence of no known type", "\"type\": \"Sequence\"", "\"type\": \"Row\""),
        lie("a decoder whose type is no text", "\"type\": \"Strip\"", "\"type\": 1"),
        lie("a model of no known type", "\"BPE\"", "\"BPF\""),
        lie("a later version", "{\"added_tokens\"", "{\"version\": \"2.0\", \"added_tokens\""),
        lie("a member twice", "\"stop\": 0", "\"start\": 0"));
  }

  private static Arguments lie(String name, String from, String to) {
    return Arguments.of(Named.of(name, from), to);
  }

  @ParameterizedTest
  @MethodSource("lies")
  void aFileThatContradictsItselfIsCorrupt(String from, String to) {
    String message = assertThrows(CorruptException.class, () -> checkWith(from, to)).getMessage();
    assertTrue(message.startsWith(file.toString()), message);
  }

  static Stream<Arguments> beyond() {
    return Stream.of(
        lie("a pattern that takes exponential time", "\\\\s+", "(a+)+"),
        lie("merges that are dropped by chance", "\"BPE\"", "\"BPE\", \"dropout\": 0.1"),
        lie("ends that are cut off", "\"stop\": 0", "\"stop\": 1"),
        lie("nothing is put in front", "\"prepend\": \"_\"", "\"prepend\": \"\""),
        lie("nothing is replaced", "{\"String\": \" \"}", "{\"String\": \"\"}"),
        lie("a compiled normalizer", "\"type\": \"Prepend\"", "\"type\": \"Precompiled\""),
        lie(
            "a template after another",
            "\"post_processor\": {",
            "\"post_processor\": {\"processors\": [{\"single\": [{\"Sequence\": {\"id\": \"A\"}}],"
                + " \"pair\": [{\"Sequence\": {\"id\": \"A\"}}, {\"Sequence\": {\"id\":"
                + " \"B\"}}]}],"));
  }

  @ParameterizedTest
  @MethodSource("beyond")
  void whatTheLibraryCannotBeTrustedWithIsUnsupported(String from, String to) {
    assertThrows(UnsupportedException.class, () -> checkWith(from, to));
  }
}

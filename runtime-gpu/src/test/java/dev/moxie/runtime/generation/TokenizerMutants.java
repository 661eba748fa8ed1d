package dev.moxie.runtime.generation;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.moxie.format.error.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Loads broken copies of a tokenizer.json and uses them, in a process of its own: the library is
 * native, and what it cannot take ends the process.
 */
final class TokenizerMutants {
  private static final JsonMapper JSON = new JsonMapper();

  /** Parts that the fixtures' tokenizer does without, as other releases have them. */
  private static final String OTHER_PARTS =
      """
      {"normalizer": {"type": "Sequence", "normalizers": [
         {"type": "NFC"}, {"type": "Prepend", "prepend": "▁"},
         {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
         {"type": "Replace", "pattern": {"Regex": "x{2,}"}, "content": ""}]},
       "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
         {"type": "Split", "pattern": {"Regex": "\\\\p{N}{1,3}|\\\\s+(?!\\\\S)|\\\\s*[\\\\r\\\\n]+"},
          "behavior": "Isolated", "invert": false},
         {"type": "Digits", "individual_digits": true},
         {"type": "FixedLength", "length": 50},
         {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
       "post_processor": {"type": "Sequence", "processors": [
         {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
         {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1],
          "trim_offsets": true, "add_prefix_space": true}]},
       "decoder": {"type": "Sequence", "decoders": [
         {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
         {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}}
      """;

  private static final List<String> VALUES =
      List.of(
          "null",
          "true",
          "0",
          "1",
          "-1",
          "512",
          "4294967296",
          "1.5",
          "1e999",
          "\"\"",
          "\"a\"",
          "\"<s>\"",
          "\"\\ud800\"",
          "\"##\"",
          "\"(a+)+$\"",
          "[]",
          "{}",
          "[\"a\", \"b\"]",
          "{\"id\": 1}",
          "{\"String\": \"\"}",
          "{\"Regex\": \"a*\"}");

  private static final List<String> NAMES =
      List.of("type", "id", "stop", "prepend", "single", "continuing_subword_prefix", "strange");

  private static final List<String> TEXTS =
      List.of(
          "a",
          "",
          "Once upon a time, 123 owls\u00e9\u6f22 \ud83d\ude00\n",
          " ".repeat(300),
          "<s> x</s><pad>",
          "a".repeat(300) + "!");

  private final SplittableRandom random;

  private TokenizerMutants(SplittableRandom random) {
    this.random = random;
  }

  /** File, folder to write to, number of mutants; prints how many were loaded and used. */
  public static void main(String[] arguments) throws IOException {
    ObjectNode released = (ObjectNode) JSON.readTree(Files.readAllBytes(Path.of(arguments[0])));
    ObjectNode other = released.deepCopy();
    other.setAll((ObjectNode) JSON.readTree(OTHER_PARTS));
    Path file = Path.of(arguments[1], "tokenizer.json");
    int count = Integer.parseInt(arguments[2]);
    int used = 0;
    for (int seed = 0; seed < count; seed++) {
      ObjectNode original = seed % 2 == 0 ? released : other;
      var mutants = new TokenizerMutants(new SplittableRandom(seed));
      Files.write(file, seed < 2 ? bytes(original) : mutants.mutant(original));
      // Whoever reads this after the end of the process knows which one it was.
      System.err.println("mutant " + seed);
      try (HuggingFaceTokenizer tokenizer = TextTokenizer.open(file)) {
        use(file, tokenizer);
        used++;
      } catch (InvalidInputException e) {
        if (seed < 2) {
          throw e;
        }
      }
    }
    System.out.println(used);
  }

  private static void use(Path file, HuggingFaceTokenizer tokenizer) {
    for (String text : TEXTS) {
      TextTokenizer.library(
          file,
          () -> {
            long[] ids = tokenizer.encode(text, true, false).getIds();
            return tokenizer.decode(ids, true) + tokenizer.decode(ids, false);
          });
    }
    TextTokenizer.library(file, () -> tokenizer.decode(new long[] {0, 1, 2, 100, 511}, true));
  }

  private static byte[] bytes(JsonNode node) {
    return JSON.writeValueAsBytes(node);
  }

  private byte[] mutant(ObjectNode original) {
    if (random.nextInt(4) == 0) {
      return damaged(bytes(original));
    }
    ObjectNode copy = original.deepCopy();
    for (int i = random.nextInt(1, 3); i > 0; i--) {
      change(copy);
    }
    return bytes(copy);
  }

  /** Bytes that are cut off, or changed. */
  private byte[] damaged(byte[] bytes) {
    if (random.nextInt(3) == 0) {
      return Arrays.copyOf(bytes, random.nextInt(bytes.length));
    }
    // Most of the file is vocabulary.
    int most = random.nextBoolean() ? bytes.length : 2000;
    byte[] damaged = bytes.clone();
    damaged[random.nextInt(most)] = (byte) random.nextInt(256);
    return damaged;
  }

  /** Changes one member somewhere. */
  private void change(ObjectNode root) {
    List<JsonNode> parents = new ArrayList<>();
    collect(root, parents);
    JsonNode value = JSON.readTree(VALUES.get(random.nextInt(VALUES.size())));
    switch (parents.get(random.nextInt(parents.size()))) {
      case ObjectNode object -> change(object, value);
      case ArrayNode array -> change(array, value);
      default -> throw new IllegalStateException();
    }
  }

  private void collect(JsonNode node, List<JsonNode> parents) {
    if (node.isContainer()) {
      parents.add(node);
      List<JsonNode> children = List.copyOf(node.values());
      for (int i = 0; i < Math.min(children.size(), 20); i++) {
        collect(children.get(children.size() <= 20 ? i : random.nextInt(children.size())), parents);
      }
    }
  }

  private void change(ObjectNode object, JsonNode value) {
    List<String> names = List.copyOf(object.propertyNames());
    String name = names.isEmpty() ? "empty" : names.get(random.nextInt(names.size()));
    String other = NAMES.get(random.nextInt(NAMES.size()));
    switch (random.nextInt(4)) {
      case 0 -> object.remove(name);
      case 1 -> object.set(other, value);
      case 2 -> object.set(name + "x", object.has(name) ? object.remove(name) : value);
      default -> object.set(name, value);
    }
  }

  private void change(ArrayNode array, JsonNode value) {
    int i = random.nextInt(array.size() + 1);
    int j = random.nextInt(array.size() + 1);
    if (i == array.size() || j == array.size()) {
      array.add(value);
    } else {
      switch (random.nextInt(4)) {
        case 0 -> array.remove(i);
        case 1 -> array.set(i, array.get(j));
        case 2 -> array.insert(i, value);
        default -> array.set(i, value);
      }
    }
  }
}

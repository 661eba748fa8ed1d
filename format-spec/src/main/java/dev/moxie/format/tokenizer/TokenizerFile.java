package dev.moxie.format.tokenizer;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The rules of a {@code tokenizer.json} that a tokenizer library takes for granted: one that does
 * not hold ends the process instead of throwing. Members are known by their names, wherever they
 * stand and whatever their object says it is. What a rule does not mention is the library's to
 * judge.
 *
 * <ul>
 *   <li>JSON of {@link StrictJson}, every number within float64, every string well-formed Unicode;
 *   <li>its version is 1.0, and the types of its model and components are known;
 *   <li>the same text has the same tokens every time: no merge is dropped by chance;
 *   <li>an added token has one id, that of the vocabulary if it is there, and an id has one token;
 *   <li>the token for what is unknown is in the vocabulary;
 *   <li>parts and result of a merge are in the vocabulary, and the second part begins with the
 *       prefix of continuing subwords;
 *   <li>a template's special tokens are declared, and what is declared has the vocabulary's ids; it
 *       names the first sequence, and in pairs the second;
 *   <li>patterns match some text and take time in proportion to it ({@link PatternRule}).
 * </ul>
 */
public final class TokenizerFile {
  /** Its name in a checkpoint. */
  public static final String NAME = "tokenizer.json";

  /** What to do about one that is sound and not for this build. */
  static final String REMEDY =
      "pass token ids instead of text (convert --token-ids-only, run --prompt-ids)";

  private static final long LARGEST_ID = 0xFFFF_FFFFL;

  private static final String VERSION = "1.0";

  private static final Set<String> MODELS = Set.of("BPE", "Unigram", "WordLevel", "WordPiece");

  private static final List<Component> COMPONENTS =
      List.of(
          new Component(
              "normalizer",
              "normalizers",
              Set.of(
                  "BertNormalizer",
                  "ByteLevel",
                  "Lowercase",
                  "NFC",
                  "NFD",
                  "NFKC",
                  "NFKD",
                  "Nmt",
                  "Precompiled",
                  "Prepend",
                  "Replace",
                  "Sequence",
                  "Strip",
                  "StripAccents")),
          new Component(
              "pre_tokenizer",
              "pretokenizers",
              Set.of(
                  "BertPreTokenizer",
                  "ByteLevel",
                  "CharDelimiterSplit",
                  "Digits",
                  "FixedLength",
                  "Metaspace",
                  "Punctuation",
                  "Sequence",
                  "Split",
                  "UnicodeScripts",
                  "Whitespace",
                  "WhitespaceSplit")),
          new Component(
              "post_processor",
              "processors",
              Set.of(
                  "BertProcessing",
                  "ByteLevel",
                  "RobertaProcessing",
                  "Sequence",
                  "TemplateProcessing")),
          new Component(
              "decoder",
              "decoders",
              Set.of(
                  "BPEDecoder",
                  "ByteFallback",
                  "ByteLevel",
                  "CTC",
                  "Fuse",
                  "Metaspace",
                  "Replace",
                  "Sequence",
                  "Strip",
                  "WordPiece")));

  /**
   * A step on the way from text to tokens or back.
   *
   * @param parts of a sequence, the member that has them
   * @param types there are
   */
  private record Component(String name, String parts, Set<String> types) {}

  private final String file;
  private final ObjectNode root;
  private final Map<String, Long> ids = new HashMap<>();
  private int templates;

  private TokenizerFile(String file, ObjectNode root) {
    this.file = file;
    this.root = root;
  }

  /**
   * Checks a file.
   *
   * @throws CorruptException if the file contradicts itself
   * @throws UnsupportedException if it asks for what cannot be done safely
   */
  public static void check(Path file) {
    new TokenizerFile(file.toString(), StrictJson.readObject(file)).check();
  }

  private void check() {
    String flaw = flaw(root);
    if (flaw != null) {
      throw corrupt(flaw.substring(1), "Unicode text, or a number that float64 holds", "neither");
    }
    if (root.has("version")) {
      oneOf("version", Set.of(VERSION), root.path("version"));
    }
    vocabulary();
    addedTokens();
    model();
    for (Component component : COMPONENTS) {
      types(component, component.name(), root.path(component.name()));
      component(component.name(), root.path(component.name()));
    }
  }

  /** Where a string is no Unicode or a number too large, or null: places are many, flaws few. */
  private static @Nullable String flaw(JsonNode node) {
    if (node.isString()) {
      return isUnicode(node.stringValue()) ? null : "";
    }
    if (node.isNumber()) {
      return Double.isFinite(node.doubleValue()) ? null : "";
    }
    for (Map.Entry<String, JsonNode> member : node.properties()) {
      String flaw = isUnicode(member.getKey()) ? flaw(member.getValue()) : "";
      if (flaw != null) {
        return "." + member.getKey() + flaw;
      }
    }
    for (int i = 0; node.isArray() && i < node.size(); i++) {
      String flaw = flaw(node.get(i));
      if (flaw != null) {
        return "[" + i + "]" + flaw;
      }
    }
    return null;
  }

  private static boolean isUnicode(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        return text.codePoints().noneMatch(c -> c >= 0xD800 && c <= 0xDFFF);
      }
    }
    return true;
  }

  /** Tokens by text (BPE, WordPiece, WordLevel), or texts in order of ids (Unigram). */
  private void vocabulary() {
    JsonNode vocabulary = root.path("model").path("vocab");
    vocabulary.forEachEntry(
        (token, id) ->
            ids.put(token, isId(id) ? id.longValue() : id("model.vocab, " + quoted(token), id)));
    if (vocabulary.isArray()) {
      for (int i = 0; i < vocabulary.size(); i++) {
        ids.putIfAbsent(text("model.vocab[" + i + "][0]", vocabulary.get(i).path(0)), (long) i);
      }
    }
  }

  private void addedTokens() {
    Map<Long, String> added = new HashMap<>();
    for (JsonNode token : elements("added_tokens", root.path("added_tokens"))) {
      String content = text("added_tokens, content", token.path("content"));
      long id = id("added_tokens, " + quoted(content), token.path("id"));
      Long known = ids.putIfAbsent(content, id);
      if (known != null && known != id) {
        throw corrupt(
            "added_tokens, " + quoted(content), "id " + known + ", as elsewhere", "" + id);
      }
      String other = added.putIfAbsent(id, content);
      if (other != null && !other.equals(content)) {
        throw corrupt(
            "added_tokens, id " + id, "one token", quoted(other) + " and " + quoted(content));
      }
    }
  }

  /** What names no type is told by its members, by the library. */
  private void types(Component component, String place, JsonNode node) {
    if (node.has("type")) {
      oneOf(place + ".type", component.types(), node.path("type"));
    }
    JsonNode parts = node.path(component.parts());
    for (int i = 0; parts.isArray() && i < parts.size(); i++) {
      types(component, place + "." + component.parts() + "[" + i + "]", parts.get(i));
    }
  }

  private void oneOf(String place, Set<String> known, JsonNode node) {
    String found = text(place, node);
    if (!known.contains(found)) {
      throw corrupt(place, String.join(", ", new TreeSet<>(known)), quoted(found));
    }
  }

  private void model() {
    JsonNode model = root.path("model");
    if (model.has("type")) {
      oneOf("model.type", MODELS, model.path("type"));
    }
    if (model.path("dropout").asDouble(0) != 0) {
      throw unsupported(
          "model.dropout",
          "null, so that a text has the same tokens every time",
          model.path("dropout").asString());
    }
    if (model.path("unk_token").isString()) {
      requireToken("model.unk_token", model.path("unk_token").stringValue());
    }
    String prefix = model.path("continuing_subword_prefix").asString("");
    List<JsonNode> merges = elements("model.merges", model.path("merges"));
    for (int i = 0; i < merges.size(); i++) {
      String place = "model.merges[" + i + "]";
      List<String> parts = parts(place, merges.get(i));
      String second = parts.get(1);
      parts.forEach(part -> requireToken(place, part));
      if (!second.startsWith(prefix)) {
        throw corrupt(place, "a second part that begins with " + quoted(prefix), quoted(second));
      }
      requireToken(place, parts.get(0) + second.substring(prefix.length()));
    }
  }

  /** A pair, or in the older form both parts with a blank between them. */
  private List<String> parts(String place, JsonNode merge) {
    List<String> parts =
        merge.isString()
            ? List.of(merge.stringValue().split(" ", -1))
            : elements(place, merge).stream().map(part -> text(place, part)).toList();
    if (parts.size() != 2) {
      throw corrupt(place, "two parts", parts.size() + " of them");
    }
    return parts;
  }

  private void component(String place, JsonNode node) {
    node.forEachEntry((name, value) -> component(place + "." + name, value));
    for (int i = 0; node.isArray() && i < node.size(); i++) {
      component(place + "[" + i + "]", node.get(i));
    }
    if (!node.isObject()) {
      return;
    }
    if (node.path("type").asString("").equals("Precompiled") || node.has("precompiled_charsmap")) {
      throw unsupported(place, "a normalizer that is written out", "a precompiled one");
    }
    if (node.has("pattern")) {
      pattern(place + ".pattern", node.path("pattern"));
    }
    if (node.has("prepend") && text(place + ".prepend", node.path("prepend")).isEmpty()) {
      throw unsupported(place + ".prepend", "some text", "none");
    }
    if (node.has("length") && id(place + ".length", node.path("length")) == 0) {
      throw corrupt(place + ".length", "a number from 1", "0");
    }
    // The library counts off the end of a shorter token.
    if (node.has("stop") && id(place + ".stop", node.path("stop")) != 0) {
      throw unsupported(place + ".stop", "0", node.path("stop").asString());
    }
    if (node.has("single") || node.has("pair") || node.has("special_tokens")) {
      template(place, node);
    }
    for (String end : List.of("sep", "cls")) {
      if (node.has(end)) {
        List<JsonNode> pair = elements(place + "." + end, node.path(end));
        if (pair.size() != 2) {
          throw corrupt(place + "." + end, "a token and its id", pair.size() + " of them");
        }
        requireId(place + "." + end, pair.get(0), pair.get(1));
      }
    }
  }

  private void pattern(String place, JsonNode pattern) {
    if (pattern.has("Regex")) {
      PatternRule.check(file + ", " + place, text(place, pattern.path("Regex")));
    }
    if (pattern.has("String") && text(place, pattern.path("String")).isEmpty()) {
      throw unsupported(place, "some text", "none");
    }
  }

  private void template(String place, JsonNode node) {
    templates++;
    if (templates > 1) {
      throw unsupported(place, "one template", "a second one");
    }
    node.path("special_tokens").forEachEntry((name, token) -> specialToken(place, name, token));
    pieces(place, node, "single", List.of("A"));
    pieces(place, node, "pair", List.of("A", "B"));
  }

  private void specialToken(String place, String name, JsonNode token) {
    String where = place + ".special_tokens, " + quoted(name);
    List<JsonNode> tokenIds = elements(where, token.path("ids"));
    List<JsonNode> tokens = elements(where, token.path("tokens"));
    if (tokenIds.isEmpty() || tokenIds.size() != tokens.size()) {
      throw corrupt(
          where, "as many ids as tokens, at least one", tokenIds.size() + " and " + tokens.size());
    }
    for (int i = 0; i < tokens.size(); i++) {
      requireId(where, tokens.get(i), tokenIds.get(i));
    }
  }

  private void pieces(String place, JsonNode node, String template, List<String> sequences) {
    String where = place + "." + template;
    List<String> named = new ArrayList<>();
    for (JsonNode piece : elements(where, node.path(template))) {
      if (piece.has("Sequence")) {
        named.add(text(where, piece.path("Sequence").path("id")));
      } else {
        String name = text(where, piece.path("SpecialToken").path("id"));
        if (!node.path("special_tokens").has(name)) {
          throw corrupt(where, "special tokens that it declares", quoted(name));
        }
      }
    }
    if (!named.stream().sorted().toList().equals(sequences)) {
      throw corrupt(where, "the sequences " + sequences + ", each once", named.toString());
    }
  }

  private void requireId(String place, JsonNode token, JsonNode id) {
    String text = text(place, token);
    long known = requireToken(place, text);
    if (known != id(place, id)) {
      throw corrupt(place, "id " + known + " of " + quoted(text), id.asString());
    }
  }

  private long requireToken(String place, String token) {
    Long id = ids.get(token);
    if (id == null) {
      throw corrupt(place, "tokens of the vocabulary", quoted(token));
    }
    return id;
  }

  private List<JsonNode> elements(String place, JsonNode node) {
    if (!node.isMissingNode() && !node.isNull() && !node.isArray()) {
      throw corrupt(place, "a list", kind(node));
    }
    return List.copyOf(node.values());
  }

  private String text(String place, JsonNode node) {
    if (!node.isString()) {
      throw corrupt(place, "text", kind(node));
    }
    return node.stringValue();
  }

  private long id(String place, JsonNode node) {
    if (!isId(node)) {
      throw corrupt(place, "a whole number from 0 to " + LARGEST_ID, kind(node));
    }
    return node.longValue();
  }

  private static boolean isId(JsonNode node) {
    return node.isIntegralNumber()
        && node.canConvertToLong()
        && node.longValue() >= 0
        && node.longValue() <= LARGEST_ID;
  }

  private static String kind(JsonNode node) {
    return node.isNumber() ? node.asString() : node.getNodeType().name().toLowerCase(Locale.ROOT);
  }

  private static String quoted(String text) {
    String shown = text.length() > 40 ? text.substring(0, 40) + "…" : text;
    return "\"" + shown + "\"";
  }

  private CorruptException corrupt(String place, String expected, String found) {
    return new CorruptException(
        file + ", " + place,
        expected,
        found,
        "fetch the file again; if it is as released, report this");
  }

  private UnsupportedException unsupported(String place, String expected, String found) {
    return new UnsupportedException(file + ", " + place, expected, found, REMEDY);
  }
}

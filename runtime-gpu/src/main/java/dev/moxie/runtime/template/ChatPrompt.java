package dev.moxie.runtime.template;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.MoxiePackage;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.ZonedDateTime;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** A package's chat template, and the tokens that its tokenizer's settings name. */
public final class ChatPrompt {
  private static final String FILE = "chat_template.jinja";
  private static final String KEY = "chat_template";
  private static final String SETTINGS = "tokenizer_config.json";
  private static final String OTHER_FILE = "chat_template.json";
  private static final String DEFAULT = "default";
  private static final long MOST_BYTES = 1 << 20;

  private final ChatTemplate template;
  private final Map<String, String> tokens;

  private ChatPrompt(ChatTemplate template, Map<String, String> tokens) {
    this.template = template;
    this.tokens = tokens;
  }

  /**
   * The template in {@code chat_template.jinja}, else that of {@code tokenizer_config.json}, of
   * several the one named default, else that of {@code chat_template.json}.
   *
   * @return empty if the package has none
   * @throws InvalidInputException if it is none, or has what is not supported
   */
  public static Optional<ChatPrompt> of(MoxiePackage pack) {
    Optional<JsonNode> settings = pack.sourceFile(SETTINGS).map(StrictJson::readObject);
    Optional<ChatTemplate> template =
        pack.sourceFile(FILE)
            .map(file -> ChatTemplate.parse(file.toString(), text(file)))
            .or(() -> settings.flatMap(json -> within(pack, SETTINGS, json.path(KEY))))
            .or(
                () ->
                    pack.sourceFile(OTHER_FILE)
                        .flatMap(
                            file ->
                                within(pack, OTHER_FILE, StrictJson.readObject(file).path(KEY))));
    return template.map(one -> new ChatPrompt(one, tokens(settings)));
  }

  /**
   * With the template of a file.
   *
   * @throws InvalidInputException if it is none, or has what is not supported
   */
  public static ChatPrompt of(MoxiePackage pack, Path file) {
    return new ChatPrompt(
        ChatTemplate.parse(file.toString(), text(file)),
        tokens(pack.sourceFile(SETTINGS).map(StrictJson::readObject)));
  }

  private static Map<String, String> tokens(Optional<JsonNode> settings) {
    return Map.of(
        "bos_token", token(settings, "bos_token"), "eos_token", token(settings, "eos_token"));
  }

  private static String text(Path file) {
    return new String(StrictJson.readBounded(file, MOST_BYTES), StandardCharsets.UTF_8);
  }

  private static Optional<ChatTemplate> within(MoxiePackage pack, String file, JsonNode value) {
    String where = pack.folder().resolve("source").resolve(file) + ": " + KEY;
    if (value.isMissingNode() || value.isNull()) {
      return Optional.empty();
    }
    if (value.isString()) {
      return Optional.of(ChatTemplate.parse(where, value.stringValue()));
    }
    for (JsonNode one : value) {
      if (one.path("name").asString("").equals(DEFAULT) && one.path("template").isString()) {
        return Optional.of(ChatTemplate.parse(where, one.get("template").stringValue()));
      }
    }
    throw new CorruptException(
        where,
        "a template, or a list with one named " + DEFAULT,
        value.getNodeType().toString(),
        "fetch the file again and convert again");
  }

  private static String token(Optional<JsonNode> settings, String name) {
    JsonNode token = settings.map(json -> json.path(name)).orElse(null);
    if (token == null) {
      return "";
    }
    return token.isObject() ? token.path("content").asString("") : token.asString("");
  }

  /**
   * The text of a prompt.
   *
   * @param given {@code messages}, and what else the template may read
   * @throws TemplateException if the template refuses it, or fails
   */
  public String render(ObjectNode given, ZonedDateTime now) {
    ObjectNode all = StrictJson.mapper(false).createObjectNode();
    tokens.forEach(all::put);
    all.setAll(given);
    return template.render(all, now);
  }
}

package dev.moxie.runtime.http;

import dev.moxie.format.json.StrictJson;
import dev.moxie.runtime.execution.ExpertLoad;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.serve.Job;
import dev.moxie.runtime.template.TemplateException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The endpoints. */
final class Api {
  private static final int COMPLETION_TOKENS = 16;
  private static final int MOST_TEXTS = 256;
  private static final Set<String> OPEN = Set.of("/health", "/version");
  private static final Set<String> GET = Set.of("/health", "/version", "/metrics", "/v1/models");
  private static final Set<String> POST =
      Set.of(
          "/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize", "/apply-template");

  private final Served served;
  private final Server.Settings settings;
  private final Metrics metrics;

  Api(Served served, Server.Settings settings, Metrics metrics) {
    this.served = served;
    this.settings = settings;
    this.metrics = metrics;
  }

  /** Whether anybody may ask. */
  static boolean isOpen(String path) {
    return OPEN.contains(path) || Page.has(path);
  }

  static boolean isEndpoint(String path) {
    return GET.contains(path) || POST.contains(path) || path.equals("/");
  }

  static void requirePost(String path) {
    if (!POST.contains(path)) {
      throw GET.contains(path) || Page.has(path)
          ? ApiException.invalid(405, path + ": expected GET, found POST.")
          : noSuch(path);
    }
  }

  private static ApiException noSuch(String path) {
    return ApiException.invalid(
        404,
        "expected one of "
            + String.join(", ", GET.stream().sorted().toList())
            + ", "
            + String.join(", ", POST.stream().sorted().toList())
            + ", found "
            + (path.length() > 80 ? path.substring(0, 80) + "…" : path)
            + ".");
  }

  void get(String path, Responder responder) throws IOException {
    ObjectNode json = StrictJson.mapper(false).createObjectNode();
    switch (path) {
      case "/health" -> responder.send(200, json.put("status", "ok"));
      case "/version" -> responder.send(200, json.put("version", settings.version()));
      case "/metrics" ->
          responder.send(200, "text/plain; version=0.0.4; charset=utf-8", metrics.text());
      case "/v1/models" -> {
        json.put("object", "list");
        addModel(json.putArray("data").addObject());
        responder.send(200, json);
      }
      default -> {
        if (Page.has(path)) {
          responder.send(Page.file(path));
        } else if (path.equals("/v1/models/" + served.name())) {
          addModel(json);
          responder.send(200, json);
        } else if (POST.contains(path)) {
          throw ApiException.invalid(405, path + ": expected POST, found GET.");
        } else if (path.startsWith("/v1/models/")) {
          throw ApiException.noSuchModel(path.substring("/v1/models/".length()), served.name());
        } else {
          throw noSuch(path);
        }
      }
    }
  }

  private void addModel(ObjectNode json) {
    json.put("id", served.name());
    json.put("object", "model");
    json.put("created", served.created());
    json.put("owned_by", "moxie");
    json.put("max_model_len", served.positions());
    ObjectNode more = json.putObject("moxie");
    more.put("text", served.tokenizer() != null);
    more.put("chat", served.template() != null);
    ArrayNode experts = more.putArray("experts");
    ExpertLoad load = served.scheduler().load();
    for (int layer = 0; layer < load.layers(); layer++) {
      experts.add(load.experts(layer));
    }
  }

  void post(String path, Fields fields, Responder responder)
      throws IOException, InterruptedException {
    fields
        .text("model")
        .filter(name -> !name.equals(served.name()))
        .ifPresent(
            name -> {
              throw ApiException.noSuchModel(name, served.name());
            });
    switch (path) {
      case "/v1/completions" -> complete(fields, responder);
      case "/v1/chat/completions" -> chat(fields, responder);
      case "/tokenize" -> responder.send(200, tokenize(fields));
      case "/detokenize" -> responder.send(200, detokenize(fields));
      default ->
          responder.send(
              200, StrictJson.mapper(false).createObjectNode().put("prompt", rendered(fields)));
    }
  }

  private void complete(Fields fields, Responder responder)
      throws IOException, InterruptedException {
    Parameters parameters = Parameters.of(fields, false, served.vocabulary());
    List<long[]> prompts = prompts(fields);
    answer(Form.COMPLETION, parameters, prompts, responder);
  }

  private void chat(Fields fields, Responder responder) throws IOException, InterruptedException {
    Parameters parameters = Parameters.of(fields, true, served.vocabulary());
    long[] prompt = served.requireTokenizer().encodeInside(rendered(fields));
    answer(Form.CHAT, parameters, List.of(requireTokens(prompt, "messages")), responder);
  }

  private void answer(Form form, Parameters parameters, List<long[]> prompts, Responder responder)
      throws IOException, InterruptedException {
    if ((long) prompts.size() * parameters.choices() > MOST_TEXTS) {
      throw ApiException.invalid(
          "n",
          "at most " + MOST_TEXTS + " texts in all",
          prompts.size() + " × " + parameters.choices());
    }
    if (parameters.routed() == Job.Routed.EXPERTS && served.scheduler().expertsPerLayer() == 0) {
      throw ApiException.invalid(
          "return_routed_experts", "a model with experts", "none in any layer");
    }
    int[] limits = new int[prompts.size()];
    for (int i = 0; i < limits.length; i++) {
      limits[i] = limit(form, parameters, prompts.get(i).length);
    }
    try (Answer answer = Answer.to(served, parameters, prompts, limits)) {
      new Exchange(form, served, parameters, prompts, responder, metrics, id())
          .run(answer, System.nanoTime() + settings.longest().toNanos());
    }
  }

  private static String id() {
    return UUID.randomUUID().toString().replace("-", "");
  }

  private int limit(Form form, Parameters parameters, int prompt) {
    long left = served.positions() - prompt;
    int wanted =
        parameters
            .limit()
            .orElseGet(
                () ->
                    form == Form.CHAT
                        ? (int) Math.min(left, Integer.MAX_VALUE)
                        : (int) Math.min(left, COMPLETION_TOKENS));
    if (left < 1 || wanted > left) {
      throw ApiException.invalid(
          "max_tokens",
          "prompt and new tokens within " + served.positions() + " positions",
          prompt + " and " + Math.max(1, wanted));
    }
    return wanted;
  }

  /** The prompts of a completion: one text or list of tokens, or several. */
  private List<long[]> prompts(Fields fields) {
    JsonNode prompt =
        fields
            .get("prompt")
            .orElseThrow(
                () -> ApiException.invalid("prompt", "a text or tokens, or several", "nothing"));
    List<long[]> prompts = new ArrayList<>();
    if (prompt.isArray() && !prompt.isEmpty() && !prompt.get(0).isNumber()) {
      Fields.require(
          prompt.size() <= MOST_TEXTS, "prompt", "at most " + MOST_TEXTS + " of them", prompt);
      prompt.forEach(one -> prompts.add(prompt(one)));
    } else {
      prompts.add(prompt(prompt));
    }
    return prompts;
  }

  private long[] prompt(JsonNode prompt) {
    if (prompt.isString()) {
      return requireTokens(served.requireTokenizer().encode(prompt.stringValue()), "prompt");
    }
    Fields.require(prompt.isArray(), "prompt", "a text or tokens, or several", prompt);
    return tokens("prompt", (ArrayNode) prompt);
  }

  private long[] tokens(String name, ArrayNode json) {
    long[] ids = new long[json.size()];
    for (int i = 0; i < ids.length; i++) {
      JsonNode id = json.get(i);
      boolean fits =
          id.isIntegralNumber()
              && id.canConvertToInt()
              && id.intValue() >= 0
              && id.intValue() < served.vocabulary();
      Fields.require(fits, name, "tokens of the model, below " + served.vocabulary(), id);
      ids[i] = id.intValue();
    }
    return requireTokens(ids, name);
  }

  private static long[] requireTokens(long[] ids, String name) {
    if (ids.length == 0) {
      throw ApiException.invalid(name, "at least one token", "none");
    }
    return ids;
  }

  /** The prompt that messages make. */
  private String rendered(Fields fields) {
    Served.Template template = served.template();
    if (template == null) {
      throw ApiException.invalid(
          400,
          "messages: this model came without a chat template; use /v1/completions with a prompt.");
    }
    JsonNode messages =
        fields
            .get("messages")
            .orElseThrow(() -> ApiException.invalid("messages", "a list of messages", "nothing"));
    boolean fits = messages.isArray() && !messages.isEmpty();
    Fields.require(fits, "messages", "a list of at least one message", messages);
    for (JsonNode message : messages) {
      boolean one = message.isObject() && message.path("role").isString();
      Fields.require(one, "messages", "objects with a role", message);
    }
    ObjectNode given = StrictJson.mapper(false).createObjectNode();
    given.set("messages", messages);
    given.put("add_generation_prompt", true);
    if (fields.has("add_generation_prompt")) {
      given.put("add_generation_prompt", fields.flag("add_generation_prompt"));
    }
    fields
        .get("chat_template_kwargs")
        .ifPresent(
            more -> {
              Fields.require(more.isObject(), "chat_template_kwargs", "an object", more);
              given.setAll(more.asObject());
            });
    try {
      return template.render(given);
    } catch (TemplateException e) {
      throw ApiException.invalid(
          400, "messages: the model's chat template says: " + e.getMessage());
    }
  }

  /** vLLM's form; llama.cpp's where there is {@code content}. */
  private ObjectNode tokenize(Fields fields) {
    TextTokenizer tokenizer = served.requireTokenizer();
    ObjectNode json = StrictJson.mapper(false).createObjectNode();
    long[] ids;
    if (fields.has("content")) {
      String text = fields.text("content").orElseThrow();
      ids = fields.flag("add_special") ? tokenizer.encode(text) : tokenizer.encodeInside(text);
    } else {
      boolean chat = fields.has("messages");
      String text =
          chat
              ? rendered(fields)
              : fields
                  .text("prompt")
                  .orElseThrow(() -> ApiException.invalid("prompt", "a text", "nothing"));
      boolean whole = fields.has("add_special_tokens") ? fields.flag("add_special_tokens") : !chat;
      ids = whole ? tokenizer.encode(text) : tokenizer.encodeInside(text);
      json.put("count", ids.length);
      json.put("max_model_len", served.positions());
    }
    ArrayNode tokens = json.putArray("tokens");
    for (long id : ids) {
      tokens.add(id);
    }
    return json;
  }

  private ObjectNode detokenize(Fields fields) {
    JsonNode tokens =
        fields
            .get("tokens")
            .orElseThrow(() -> ApiException.invalid("tokens", "a list of tokens", "nothing"));
    Fields.require(tokens.isArray(), "tokens", "a list of tokens", tokens);
    long[] ids = tokens.isEmpty() ? new long[0] : tokens("tokens", (ArrayNode) tokens);
    String text = served.requireTokenizer().decode(ids);
    return StrictJson.mapper(false).createObjectNode().put("prompt", text).put("content", text);
  }
}

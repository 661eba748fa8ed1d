package dev.moxie.runtime.http;

import dev.moxie.format.json.StrictJson;
import dev.moxie.runtime.serve.Job;
import java.nio.charset.StandardCharsets;
import java.util.List;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** How an endpoint's answers look, whole and in pieces. */
enum Form {
  COMPLETION("cmpl-", "text_completion", "text_completion"),
  CHAT("chatcmpl-", "chat.completion", "chat.completion.chunk");

  private final String prefix;
  private final String whole;
  private final String piece;

  Form(String prefix, String whole, String piece) {
    this.prefix = prefix;
    this.whole = whole;
    this.piece = piece;
  }

  /** What every object of one answer has. */
  ObjectNode frame(String id, boolean stream, long created, Served served) {
    ObjectNode json = StrictJson.mapper(false).createObjectNode();
    json.put("id", prefix + id);
    json.put("object", stream ? piece : whole);
    json.put("created", created);
    json.put("model", served.name());
    json.putArray("choices");
    return json;
  }

  /** Adds a text, or a piece of one, to an answer. */
  void add(
      ObjectNode frame,
      Served served,
      Parameters parameters,
      Answer.Piece piece,
      boolean stream,
      int offset) {
    ObjectNode choice = ((ArrayNode) frame.get("choices")).addObject();
    choice.put("index", piece.choice());
    boolean likelihoods = parameters.alternatives() >= 0 && !piece.tokens().isEmpty();
    if (this == COMPLETION) {
      choice.put("text", piece.text());
      choice.set("logprobs", likelihoods ? completion(served, piece.tokens(), offset) : null);
    } else {
      ObjectNode message = choice.putObject(stream ? "delta" : "message");
      if (!stream) {
        message.put("role", "assistant");
      }
      if (!stream || !piece.text().isEmpty()) {
        message.put("content", piece.text());
      }
      choice.set("logprobs", likelihoods ? chat(served, piece.tokens()) : null);
    }
    if (parameters.tokenIds() || served.tokenizer() == null) {
      ArrayNode ids = choice.putArray("token_ids");
      piece.tokens().forEach(token -> ids.add(token.token().id()));
    }
    if (parameters.routed() == Job.Routed.DECISIONS) {
      Decisions.add(choice, piece.tokens(), served.scheduler().load());
    }
    if (parameters.routed() == Job.Routed.EXPERTS) {
      int layers = served.scheduler().load().layers();
      RoutedExperts.add(choice, piece.tokens(), layers, served.scheduler().expertsPerLayer());
    }
    choice.put("finish_reason", piece.finish());
  }

  /** The first piece of a chat's answer. */
  static void addRole(ObjectNode frame, int choice) {
    ObjectNode first = ((ArrayNode) frame.get("choices")).addObject();
    first.put("index", choice);
    first.putObject("delta").put("role", "assistant").put("content", "");
    first.putNull("logprobs");
    first.putNull("finish_reason");
  }

  static void addUsage(ObjectNode frame, int prompt, int completion, int reused) {
    ObjectNode usage = frame.putObject("usage");
    usage.put("prompt_tokens", prompt);
    usage.put("completion_tokens", completion);
    usage.put("total_tokens", prompt + completion);
    usage.putObject("prompt_tokens_details").put("cached_tokens", reused);
  }

  private static ObjectNode completion(Served served, List<Job.Chosen> tokens, int offset) {
    ObjectNode json = StrictJson.mapper(false).createObjectNode();
    ArrayNode texts = json.putArray("tokens");
    ArrayNode own = json.putArray("token_logprobs");
    ArrayNode top = json.putArray("top_logprobs");
    ArrayNode offsets = json.putArray("text_offset");
    int at = offset;
    for (Job.Chosen chosen : tokens) {
      String text = text(served, chosen.token().id());
      texts.add(text);
      own.add(chosen.token().logarithm());
      ObjectNode alternatives = top.addObject();
      chosen.alternatives().forEach(a -> alternatives.put(text(served, a.id()), a.logarithm()));
      alternatives.put(text, chosen.token().logarithm());
      offsets.add(at);
      at += text.length();
    }
    return json;
  }

  private static ObjectNode chat(Served served, List<Job.Chosen> tokens) {
    ObjectNode json = StrictJson.mapper(false).createObjectNode();
    ArrayNode content = json.putArray("content");
    for (Job.Chosen chosen : tokens) {
      ObjectNode token = content.addObject();
      put(token, served, chosen.token());
      ArrayNode top = token.putArray("top_logprobs");
      chosen.alternatives().forEach(a -> put(top.addObject(), served, a));
    }
    return json;
  }

  private static void put(ObjectNode json, Served served, Job.Likelihood one) {
    String text = text(served, one.id());
    json.put("token", text);
    json.put("logprob", one.logarithm());
    ArrayNode bytes = json.putArray("bytes");
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      bytes.add(b & 0xff);
    }
  }

  private static String text(Served served, long id) {
    return served.tokenizer() == null
        ? "token_id:" + id
        : served.tokenizer().decode(new long[] {id});
  }

  /** Whether a piece has anything to say; the text of a token may wait for the next one. */
  static boolean says(Answer.Piece piece, Parameters parameters, Served served) {
    return piece.finish() != null
        || !piece.text().isEmpty()
        || parameters.alternatives() >= 0
        || parameters.tokenIds()
        || parameters.routed() != Job.Routed.NOTHING
        || served.tokenizer() == null;
  }
}

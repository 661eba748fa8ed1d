package dev.moxie.runtime.http;

import dev.moxie.runtime.generation.Sampler;
import dev.moxie.runtime.serve.Job;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import tools.jackson.databind.JsonNode;

/**
 * What completions and chat have in common, by the names and defaults of OpenAI's interface, with
 * vLLM's for what that has not.
 *
 * @param choices texts per prompt
 * @param alternatives likeliest tokens told with each; -1 for no probabilities
 */
record Parameters(
    Sampler sampler,
    OptionalInt limit,
    int choices,
    List<String> stops,
    int alternatives,
    boolean stream,
    boolean usage,
    boolean tokenIds,
    Job.Routed routed,
    boolean ignoreEnd) {
  private static final int MOST_CHOICES = 128;
  private static final int MOST_ALTERNATIVES = 20;
  private static final int MOST_STOPS = 16;
  private static final double MOST = Float.MAX_VALUE;

  /** Known to others and not to this server: refused unless they ask for nothing. */
  private static final Set<String> REFUSED =
      Set.of(
          "tools",
          "functions",
          "response_format",
          "guided_json",
          "guided_regex",
          "guided_choice",
          "guided_grammar",
          "structured_outputs",
          "grammar",
          "json_schema",
          "audio",
          "suffix",
          "echo",
          "best_of",
          "use_beam_search",
          "prompt_logprobs",
          "prompt_embeds",
          "frequency_penalty",
          "presence_penalty",
          "min_tokens",
          "stop_token_ids",
          "allowed_token_ids",
          "bad_words",
          "logits_processors");

  private static final Set<String> NOTHING =
      Set.of("false", "0", "0.0", "[]", "{\"type\":\"text\"}", "{}", "\"\"");

  static Parameters of(Fields fields, boolean chat, int vocabulary) {
    for (String name : REFUSED) {
      fields
          .get(name)
          .filter(node -> !NOTHING.contains(node.toString()))
          .filter(node -> !(name.equals("best_of") && node.toString().equals("1")))
          .ifPresent(
              node -> {
                throw ApiException.unsupported(name, name + " is not supported; leave it out.");
              });
    }
    double temperature = fields.number("temperature", 1, 0, MOST);
    int topK = fields.whole("top_k", -1, Integer.MAX_VALUE).orElse(0);
    double topP = fields.number("top_p", 1, 0, 1);
    double penalty = fields.number("repetition_penalty", 1, 0, MOST);
    if (topP == 0 || penalty == 0) {
      throw ApiException.invalid(topP == 0 ? "top_p" : "repetition_penalty", "more than 0", "0");
    }
    Sampler sampler =
        new Sampler(
            temperature,
            Math.max(0, topK),
            topP,
            fields.number("min_p", 0, 0, 1),
            penalty,
            bias(fields, vocabulary),
            fields.large("seed").orElseGet(() -> ThreadLocalRandom.current().nextLong()));
    return new Parameters(
        sampler,
        limit(fields, chat),
        fields.whole("n", 1, MOST_CHOICES).orElse(1),
        stops(fields),
        chat ? chatAlternatives(fields) : alternatives(fields),
        fields.flag("stream"),
        usage(fields),
        fields.flag("return_token_ids"),
        routed(fields),
        fields.flag("ignore_eos"));
  }

  private static OptionalInt limit(Fields fields, boolean chat) {
    String name =
        chat && fields.has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
    return fields
        .whole(name, 1, Integer.MAX_VALUE)
        .map(OptionalInt::of)
        .orElseGet(OptionalInt::empty);
  }

  private static List<String> stops(Fields fields) {
    List<String> stops = fields.texts("stop");
    if (stops.size() > MOST_STOPS || stops.contains("")) {
      throw ApiException.invalid(
          "stop",
          "at most " + MOST_STOPS + " strings, none empty",
          stops.size() + ", or an empty one");
    }
    return stops;
  }

  private static int alternatives(Fields fields) {
    return fields.whole("logprobs", 0, MOST_ALTERNATIVES).orElse(-1);
  }

  private static int chatAlternatives(Fields fields) {
    boolean wanted = fields.flag("logprobs");
    int count = fields.whole("top_logprobs", 0, MOST_ALTERNATIVES).orElse(0);
    if (count > 0 && !wanted) {
      throw ApiException.invalid("top_logprobs", "logprobs to be true with it", "no logprobs");
    }
    return wanted ? count : -1;
  }

  private static boolean usage(Fields fields) {
    return fields
        .get("stream_options")
        .map(
            node -> {
              Fields.require(node.isObject(), "stream_options", "an object", node);
              return new Fields(node.asObject()).flag("include_usage");
            })
        .orElse(false);
  }

  private static Job.Routed routed(Fields fields) {
    boolean all = fields.flag("return_routed_experts");
    if (!fields.flag("stream_routed_experts")) {
      return all ? Job.Routed.EXPERTS : Job.Routed.NOTHING;
    }
    if (all || !fields.flag("stream")) {
      throw ApiException.invalid(
          "stream_routed_experts",
          "stream to be true, and no return_routed_experts beside it",
          all ? "that" : "no stream");
    }
    return Job.Routed.DECISIONS;
  }

  private static Map<Integer, Float> bias(Fields fields, int vocabulary) {
    Map<Integer, Float> bias = new HashMap<>();
    fields
        .get("logit_bias")
        .ifPresent(
            node -> {
              Fields.require(node.isObject(), "logit_bias", "an object", node);
              for (Map.Entry<String, JsonNode> entry : node.properties()) {
                JsonNode by = entry.getValue();
                boolean fits = by.isNumber() && Math.abs(by.doubleValue()) <= 100;
                Fields.require(fits, "logit_bias", "numbers from -100 to 100", node);
                bias.put(token(entry.getKey(), vocabulary), by.floatValue());
              }
            });
    return bias;
  }

  private static int token(String id, int vocabulary) {
    if (id.matches("[0-9]{1,9}") && Integer.parseInt(id) < vocabulary) {
      return Integer.parseInt(id);
    }
    throw ApiException.invalid("logit_bias", "tokens of the model, below " + vocabulary, id);
  }

  /** The sampler of one of several choices. */
  Sampler sampler(int choice) {
    return new Sampler(
        sampler.temperature(),
        sampler.topK(),
        sampler.topP(),
        sampler.minP(),
        sampler.repetitionPenalty(),
        sampler.bias(),
        sampler.seed() + choice);
  }
}

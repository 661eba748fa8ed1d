package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.serve.Scheduler;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** A server that guesses tokens, beside one that does not: the same answers. */
class GuessesServedTest {
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  @TempDir static Path folder;

  private static MoxiePackage pack;
  private static TextTokenizer tokenizer;
  private static PlainModel model;
  private static PlainModel other;
  private static Scheduler guessing;
  private static Scheduler plain;
  private static Server server;
  private static Server without;

  @BeforeAll
  static void start() {
    pack = Packages.convert(Fixtures.tinyDeepSeek(), folder.resolve("p"));
    tokenizer = TextTokenizer.of(pack);
    model = PlainModel.open(pack, new Unproven());
    other = PlainModel.open(pack, new Unproven());
    var metrics = new Metrics("tiny", 1 << 28);
    guessing = TestModel.guessing(model, metrics);
    metrics.countGuesses(guessing);
    server = TestModel.server(pack, tokenizer, guessing, List.of(), metrics);
    var unused = new Metrics("tiny", 1 << 28);
    plain = TestModel.scheduler(other, 64, 64, unused);
    without = TestModel.server(pack, tokenizer, plain, List.of(), unused);
  }

  @AfterAll
  static void stop() {
    server.close();
    without.close();
    guessing.close();
    plain.close();
    model.close();
    other.close();
    tokenizer.close();
    pack.close();
  }

  private static String get(Server one, HttpRequest.Builder request, String path) throws Exception {
    URI uri = URI.create("http://127.0.0.1:%d%s".formatted(one.address().getPort(), path));
    HttpResponse<String> response =
        CLIENT.send(request.uri(uri).build(), HttpResponse.BodyHandlers.ofString());
    assertEquals(200, response.statusCode(), response.body());
    return response.body();
  }

  private static String complete(Server one, String more) throws Exception {
    String body = "{\"prompt\": \"Once upon a time\", \"max_tokens\": 60, %s}".formatted(more);
    return get(
        one,
        HttpRequest.newBuilder()
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body)),
        "/v1/completions");
  }

  /** Without what no two answers have alike, and what was computed before. */
  private static JsonNode answer(Server one, String more) throws Exception {
    var json = (ObjectNode) StrictJson.mapper(false).readTree(complete(one, more));
    json.remove(List.of("id", "created"));
    ((ObjectNode) json.get("usage")).remove("prompt_tokens_details");
    return json;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"temperature\": 0",
        "\"temperature\": 0, \"n\": 3, \"logprobs\": 2",
        "\"temperature\": 0, \"repetition_penalty\": 1.2, \"return_token_ids\": true",
        "\"temperature\": 0, \"stop\": [\"e\"]",
        "\"temperature\": 0, \"stop\": [\". \", \" the\"]",
        "\"temperature\": 1, \"n\": 4, \"seed\": 3, \"top_p\": 0.9",
        "\"temperature\": 0, \"return_routed_experts\": true"
      })
  void answersAreThoseOfAServerThatDoesNotGuess(String more) throws Exception {
    assertEquals(answer(without, more), answer(server, more));
  }

  @Test
  void aStreamHasTheSameTokensInOrder() throws Exception {
    String more =
        "\"temperature\": 0, \"return_token_ids\": true, \"stream\": true,"
            + " \"stream_options\": {\"include_usage\": true}";
    List<Integer> ids = new ArrayList<>();
    var text = new StringBuilder();
    int counted = 0;
    for (String event : complete(server, more).split("\n\n")) {
      if (event.startsWith("data: {")) {
        JsonNode json = StrictJson.mapper(false).readTree(event.substring(6));
        json.at("/choices/0/token_ids").forEach(id -> ids.add(id.intValue()));
        text.append(json.at("/choices/0/text").asString(""));
        counted += json.at("/usage/completion_tokens").asInt(0);
      }
    }
    JsonNode whole = answer(without, "\"temperature\": 0, \"return_token_ids\": true");
    List<Integer> expected = new ArrayList<>();
    whole.at("/choices/0/token_ids").forEach(id -> expected.add(id.intValue()));
    assertEquals(expected, ids);
    assertEquals(whole.at("/choices/0/text").asString(), text.toString());
    assertEquals(expected.size(), counted);
  }

  private static double metric(String name) throws Exception {
    Matcher line =
        Pattern.compile("(?m)^vllm:spec_decode_" + name + "_total\\{model_name=\"tiny\"} (.*)$")
            .matcher(get(server, HttpRequest.newBuilder(), "/metrics"));
    assertTrue(line.find(), name);
    return Double.parseDouble(line.group(1));
  }

  @Test
  void guessesAreCountedByTheNamesOfVllm() throws Exception {
    complete(server, "\"temperature\": 0, \"ignore_eos\": true");
    double accepted = metric("num_accepted_tokens");
    double drafts = metric("num_drafts");
    assertTrue(accepted > 0 && accepted < drafts, accepted + " of " + drafts);
    assertEquals(drafts, metric("num_draft_tokens"));
    assertTrue(
        !get(without, HttpRequest.newBuilder(), "/metrics").contains("spec_decode"),
        "where nothing guesses, nothing is counted");
  }
}

package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.runtime.generation.Sampler;
import dev.moxie.runtime.serve.Scheduler;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/** A server of a trained model, asked as its clients ask. */
class ServerTest {
  private static final String PROMPT = "Once upon a time";

  @TempDir static Path folder;

  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  private static TestModel model;
  private static Server server;

  @BeforeAll
  static void start() {
    model = TestModel.open(folder);
    server = model.server(model.scheduler(), List.of(), model.metrics());
  }

  @AfterAll
  static void stop() {
    server.close();
    model.close();
  }

  private static HttpRequest.Builder to(Server one, String path) {
    return HttpRequest.newBuilder(
        URI.create("http://127.0.0.1:%d%s".formatted(one.address().getPort(), path)));
  }

  private static HttpResponse<String> send(HttpRequest request) throws Exception {
    return CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
  }

  private static HttpResponse<String> get(String path) throws Exception {
    return send(to(server, path).GET().build());
  }

  private static HttpResponse<String> post(Server one, String path, String body) throws Exception {
    return send(
        to(one, path)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build());
  }

  private static JsonNode answer(String path, String body) throws Exception {
    HttpResponse<String> response = post(server, path, body);
    assertEquals(200, response.statusCode(), response.body());
    return StrictJson.mapper(false).readTree(response.body());
  }

  /** The objects of a stream, without what ends it. */
  private static List<JsonNode> events(String path, String body) throws Exception {
    HttpResponse<String> response = post(server, path, body);
    assertEquals(200, response.statusCode(), response.body());
    assertTrue(
        response
            .headers()
            .firstValue("Content-Type")
            .orElseThrow()
            .startsWith("text/event-stream"));
    List<JsonNode> events = new ArrayList<>();
    String[] parts = response.body().split("\n\n");
    for (String part : parts) {
      if (part.startsWith("data: {")) {
        events.add(StrictJson.mapper(false).readTree(part.substring(6)));
      }
    }
    assertEquals("data: [DONE]", parts[parts.length - 1]);
    return events;
  }

  private static String greedy(int tokens) {
    long[] prompt = model.tokenizer().encode(PROMPT);
    List<Long> ids =
        Generator.generate(model.model(), prompt, tokens, Sampler.GREEDY, Set.of(), token -> {});
    String before = model.tokenizer().decode(prompt);
    long[] all =
        LongStream.concat(LongStream.of(prompt), ids.stream().mapToLong(id -> id)).toArray();
    return model.tokenizer().decode(all).substring(before.length());
  }

  private static String completion(String more) {
    return "{\"prompt\": \"%s\", \"temperature\": 0, \"max_tokens\": 12%s}".formatted(PROMPT, more);
  }

  @Test
  void saysWhatItServes() throws Exception {
    JsonNode models = StrictJson.mapper(false).readTree(get("/v1/models").body());
    assertEquals("tiny", models.get("data").get(0).get("id").stringValue());
    assertEquals(
        model.pack().architecture().maxPositions(), models.at("/data/0/max_model_len").intValue());
    assertEquals(200, get("/v1/models/tiny").statusCode());
    assertEquals(404, get("/v1/models/other").statusCode());
    assertEquals("{\"status\":\"ok\"}", get("/health").body());
    assertEquals("{\"version\":\"1.2.3\"}", get("/version").body());
    assertTrue(get("/metrics").body().contains("vllm:num_requests_running{model_name=\"tiny\"}"));
  }

  @Test
  void aCompletionIsWhatTheModelSays() throws Exception {
    JsonNode json = answer("/v1/completions", completion(", \"ignore_eos\": true"));
    assertEquals(greedy(12), json.at("/choices/0/text").stringValue());
    assertEquals("length", json.at("/choices/0/finish_reason").stringValue());
    assertEquals(12, json.at("/usage/completion_tokens").intValue());
    assertEquals(
        model.tokenizer().encode(PROMPT).length, json.at("/usage/prompt_tokens").intValue());
  }

  @Test
  void inPiecesItIsTheSame() throws Exception {
    List<JsonNode> events =
        events(
            "/v1/completions",
            completion(
                ", \"ignore_eos\": true, \"stream\": true, \"stream_options\":"
                    + " {\"include_usage\": true}"));
    var text = new StringBuilder();
    for (JsonNode event : events.subList(0, events.size() - 1)) {
      text.append(event.at("/choices/0/text").stringValue());
    }
    assertEquals(greedy(12), text.toString());
    assertEquals("length", events.get(events.size() - 2).at("/choices/0/finish_reason").asString());
    assertEquals(0, events.getLast().get("choices").size());
    assertEquals(12, events.getLast().at("/usage/completion_tokens").intValue());
  }

  @Test
  void severalPromptsAndChoicesComeInOrder() throws Exception {
    JsonNode json =
        answer(
            "/v1/completions",
            "{\"prompt\": [\"%s\", \"The\"], \"n\": 2, \"temperature\": 0, \"max_tokens\": 5}"
                .formatted(PROMPT));
    assertEquals(4, json.get("choices").size());
    for (int i = 0; i < 4; i++) {
      assertEquals(i, json.get("choices").get(i).get("index").intValue());
    }
    assertEquals(json.at("/choices/0/text"), json.at("/choices/1/text"));
    assertNotEquals(json.at("/choices/0/text"), json.at("/choices/2/text"));
  }

  @Test
  void tokensMayBeGivenAndAskedFor() throws Exception {
    JsonNode json =
        answer(
            "/v1/completions",
            "{\"prompt\": [1, 393, 389], \"temperature\": 0, \"max_tokens\": 3,"
                + " \"return_token_ids\": true}");
    List<Long> alone =
        Generator.generate(
            model.model(), new long[] {1, 393, 389}, 3, Sampler.GREEDY, Set.of(), token -> {});
    assertEquals(alone.toString().replace(" ", ""), json.at("/choices/0/token_ids").toString());
  }

  @Test
  void routedExpertsComeAsOthersGiveThem() throws Exception {
    JsonNode json =
        answer(
            "/v1/completions",
            "{\"prompt\": [1, 393, 389], \"temperature\": 0, \"max_tokens\": 3,"
                + " \"return_routed_experts\": true}");
    byte[] file = Base64.getDecoder().decode(json.at("/choices/0/routed_experts").stringValue());
    String header = new String(file, 10, 118, StandardCharsets.US_ASCII);
    assertEquals("{'descr': '<i4', 'fortran_order': False, 'shape': (5, 4, 2), }", header.strip());
    ByteBuffer numbers = ByteBuffer.wrap(file, 128, file.length - 128);
    numbers.order(ByteOrder.LITTLE_ENDIAN);
    List<Integer> experts = new ArrayList<>();
    while (numbers.hasRemaining()) {
      experts.add(numbers.getInt());
    }
    byte[] raw =
        Base64.getDecoder().decode(json.at("/choices/0/meta_info/routed_experts").stringValue());
    assertArrayEquals(Arrays.copyOfRange(file, 128, file.length), raw);
    List<Integer> alone = new ArrayList<>();
    long[] passed =
        LongStream.concat(
                LongStream.of(1, 393, 389),
                Generator.generate(
                        model.model(),
                        new long[] {1, 393, 389},
                        2,
                        Sampler.GREEDY,
                        Set.of(),
                        token -> {})
                    .stream()
                    .mapToLong(id -> id))
            .toArray();
    int[][][] byLayer = new int[4][][];
    model.model().begin(passed.length);
    model
        .model()
        .observe(
            passed,
            (layer, result) ->
                byLayer[layer] =
                    result.mixture().decisions().stream()
                        .map(decision -> decision.experts())
                        .toArray(int[][]::new));
    for (int t = 0; t < passed.length; t++) {
      for (int layer = 0; layer < 4; layer++) {
        alone.add(byLayer[layer][t][0]);
        alone.add(byLayer[layer][t][1]);
      }
    }
    assertEquals(alone, experts);
  }

  @Test
  void expertsInTheStreamAreThoseOfTheWholeAnswer() throws Exception {
    String asked = completion(", \"ignore_eos\": true%s");
    JsonNode whole =
        answer("/v1/completions", asked.formatted(", \"return_routed_experts\": true"));
    byte[] raw =
        Base64.getDecoder().decode(whole.at("/choices/0/meta_info/routed_experts").stringValue());
    ByteBuffer numbers = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN);
    int prompt = whole.at("/usage/prompt_tokens").intValue();
    numbers.position(prompt * 4 * 2 * Integer.BYTES);
    List<JsonNode> events =
        events(
            "/v1/completions",
            asked.formatted(", \"stream\": true, \"stream_routed_experts\": true"));
    assertTrue(events.getFirst().at("/choices/0/routed").isNull());
    int tokens = 0;
    for (JsonNode event : events.subList(1, events.size())) {
      JsonNode routed = event.at("/choices/0/routed");
      for (int layer = 0; layer < 4 && !routed.isMissingNode(); layer++) {
        double sum = 0;
        for (int i = 0; i < 2; i++) {
          assertEquals(numbers.getInt(), routed.at("/experts/" + layer + "/" + i).intValue());
          sum += routed.at("/weights/" + layer + "/" + i).doubleValue();
        }
        assertEquals(1, sum, 1e-6, "Mixtral's weights are normalised");
        assertTrue(routed.at("/margins/" + layer).doubleValue() >= 0);
      }
      tokens += routed.isMissingNode() ? 0 : 1;
    }
    assertEquals(11, tokens, "each but the last");
    assertFalse(numbers.hasRemaining());
    String refused = asked.formatted(", \"stream_routed_experts\": true");
    assertEquals(400, post(server, "/v1/completions", refused).statusCode(), "without a stream");
  }

  @Test
  void aStopEndsTheTextBeforeItAlsoAcrossTokens() throws Exception {
    String whole = greedy(12);
    String stop = whole.substring(4, 9);
    JsonNode json =
        answer("/v1/completions", completion(", \"stop\": [\"nowhere\", \"" + stop + "\"]"));
    assertEquals(whole.substring(0, whole.indexOf(stop)), json.at("/choices/0/text").stringValue());
    assertEquals("stop", json.at("/choices/0/finish_reason").stringValue());
  }

  @Test
  void theSameSeedDrawsTheSame() throws Exception {
    String body = "{\"prompt\": \"A\", \"max_tokens\": 20, \"seed\": 5, \"temperature\": 1.5}";
    String first = answer("/v1/completions", body).at("/choices/0/text").stringValue();
    assertEquals(first, answer("/v1/completions", body).at("/choices/0/text").stringValue());
    String other = body.replace("5,", "6,");
    assertNotEquals(first, answer("/v1/completions", other).at("/choices/0/text").stringValue());
  }

  @Test
  void aChatIsItsTemplatesPromptContinued() throws Exception {
    String body =
        "{\"model\": \"tiny\", \"messages\": [{\"role\": \"user\", \"content\": \"Once upon a\"}],"
            + " \"temperature\": 0, \"max_completion_tokens\": 8, \"logprobs\": true,"
            + " \"top_logprobs\": 2, \"tools\": []%s}";
    JsonNode json = answer("/v1/chat/completions", body.formatted(""));
    String text = json.at("/choices/0/message/content").stringValue();
    assertEquals("assistant", json.at("/choices/0/message/role").stringValue());
    JsonNode first = json.at("/choices/0/logprobs/content/0");
    assertEquals(2, first.get("top_logprobs").size());
    assertEquals(first.get("logprob"), first.at("/top_logprobs/0/logprob"), "greedy");
    List<JsonNode> events = events("/v1/chat/completions", body.formatted(", \"stream\": true"));
    assertEquals("assistant", events.getFirst().at("/choices/0/delta/role").stringValue());
    var pieces = new StringBuilder();
    events.forEach(event -> pieces.append(event.at("/choices/0/delta/content").asString("")));
    assertEquals(text, pieces.toString());
  }

  @Test
  void textAndTokensAreTurnedIntoEachOther() throws Exception {
    JsonNode json = answer("/tokenize", "{\"prompt\": \"" + PROMPT + "\"}");
    assertEquals(model.tokenizer().encode(PROMPT).length, json.get("count").intValue());
    JsonNode inside = answer("/tokenize", "{\"content\": \"" + PROMPT + "\"}");
    assertEquals(json.get("count").intValue() - 1, inside.get("tokens").size());
    JsonNode back = answer("/detokenize", "{\"tokens\": " + inside.get("tokens") + "}");
    assertEquals(PROMPT, back.get("content").stringValue());
    JsonNode prompt =
        answer("/apply-template", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}");
    assertEquals("{\"prompt\":\"x\"}", prompt.toString());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/v1/completions | {} | prompt",
        "/v1/completions | {\"prompt\": 5} | prompt",
        "/v1/completions | {\"prompt\": []} | prompt",
        "/v1/completions | {\"prompt\": [99999]} | prompt",
        "/v1/completions | {\"prompt\": [[]]} | prompt",
        "/v1/completions | {\"prompt\": [1.5]} | prompt",
        "/v1/completions | {\"prompt\": \"a\", \"max_tokens\": 0} | max_tokens",
        "/v1/completions | {\"prompt\": \"a\", \"max_tokens\": 100000} | max_tokens",
        "/v1/completions | {\"prompt\": \"a\", \"temperature\": -1} | temperature",
        "/v1/completions | {\"prompt\": \"a\", \"temperature\": \"1\"} | temperature",
        "/v1/completions | {\"prompt\": \"a\", \"top_p\": 0} | top_p",
        "/v1/completions | {\"prompt\": \"a\", \"top_p\": 1.1} | top_p",
        "/v1/completions | {\"prompt\": \"a\", \"n\": 1000} | n",
        "/v1/completions | {\"prompt\": \"a\", \"stop\": [\"\"]} | stop",
        "/v1/completions | {\"prompt\": \"a\", \"stop\": 1} | stop",
        "/v1/completions | {\"prompt\": \"a\", \"logit_bias\": {\"99999\": 1}} | logit_bias",
        "/v1/completions | {\"prompt\": \"a\", \"logit_bias\": {\"1\": 101}} | logit_bias",
        "/v1/completions | {\"prompt\": \"a\", \"suffix\": \"b\"} | suffix",
        "/v1/completions | {\"prompt\": \"a\", \"stream_options\": 1} | stream_options",
        "/v1/chat/completions | {} | messages",
        "/v1/chat/completions | {\"messages\": []} | messages",
        "/v1/chat/completions | {\"messages\": [{}]} | messages",
        "/v1/chat/completions | {\"messages\": [{\"role\": \"user\", \"content\": \"a\"}],"
            + " \"tools\": [{}]} | tools",
        "/v1/chat/completions | {\"messages\": [{\"role\": \"user\", \"content\": \"a\"}],"
            + " \"response_format\": {\"type\": \"json_object\"}} | response_format",
        "/v1/chat/completions | {\"messages\": [{\"role\": \"user\", \"content\": \"a\"}],"
            + " \"top_logprobs\": 2} | top_logprobs",
        "/tokenize | {} | prompt",
        "/detokenize | {\"tokens\": \"x\"} | tokens",
      })
  void whatCannotBeAnsweredSaysWhichParameter(String path, String body, String parameter)
      throws Exception {
    HttpResponse<String> response = post(server, path, body);
    assertEquals(400, response.statusCode(), response.body());
    JsonNode error = StrictJson.mapper(false).readTree(response.body()).get("error");
    assertEquals(parameter, error.get("param").stringValue(), response.body());
    assertEquals("invalid_request_error", error.get("type").stringValue());
  }

  @Test
  void whatAsksForNothingIsAnswered() throws Exception {
    answer(
        "/v1/completions",
        completion(
            ", \"echo\": false, \"best_of\": 1, \"presence_penalty\": 0, \"stop\": null,"
                + " \"frequency_penalty\": 0.0, \"user\": \"me\", \"unknown\": 5"));
  }

  @Test
  void otherRequestsHaveTheirStatus() throws Exception {
    assertEquals(404, get("/v2").statusCode());
    assertEquals(404, get("/../../etc/passwd").statusCode());
    assertEquals(405, get("/v1/completions").statusCode());
    assertEquals(405, post(server, "/health", "{}").statusCode());
    assertEquals(400, post(server, "/v1/completions", "{").statusCode());
    assertEquals(400, post(server, "/v1/completions", "[]").statusCode());
    assertEquals(400, post(server, "/v1/completions", "{\"n\": 1, \"n\": 1}").statusCode());
    assertEquals(
        404,
        post(server, "/v1/completions", "{\"model\": \"other\", \"prompt\": \"a\"}").statusCode());
    assertEquals(
        413, post(server, "/v1/completions", " ".repeat(TestModel.MOST_BYTES) + "{}").statusCode());
    HttpRequest plain =
        to(server, "/v1/completions")
            .header("Content-Type", "text/plain")
            .POST(HttpRequest.BodyPublishers.ofString(completion("")))
            .build();
    assertEquals(415, send(plain).statusCode(), "what a page may send without being asked");
    HttpRequest delete = to(server, "/v1/models").DELETE().build();
    assertEquals(405, send(delete).statusCode());
  }

  @Test
  void whereThereAreKeysOneIsNeeded() throws Exception {
    try (Server guarded =
        model.server(model.scheduler(), List.of("one", "two"), new Metrics("x", 1))) {
      assertEquals(401, send(to(guarded, "/v1/models").build()).statusCode());
      assertEquals(401, post(guarded, "/v1/completions", "{").statusCode());
      assertEquals(200, send(to(guarded, "/health").build()).statusCode());
      for (String key : List.of("one", "two")) {
        HttpRequest request =
            to(guarded, "/v1/models").header("Authorization", "Bearer " + key).build();
        assertEquals(200, send(request).statusCode());
      }
      HttpResponse<String> wrong =
          send(to(guarded, "/v1/models").header("Authorization", "Bearer three").build());
      assertEquals(401, wrong.statusCode());
      assertFalse(wrong.body().contains("three") || wrong.body().contains("one\""), wrong.body());
    }
  }

  @Test
  void anAddressThatIsTakenIsNamedAsItWasPassed() {
    EnvironmentException taken =
        assertThrows(
            EnvironmentException.class,
            () ->
                Server.start(
                    new Served("x", null, null, 1, 1, Set.of(), model.scheduler(), 0),
                    new Server.Settings(
                        server.address(), List.of(), 1, Duration.ofSeconds(1), "1.2.3"),
                    model.metrics()));
    String message = String.valueOf(taken.getMessage());
    assertTrue(message.startsWith("127.0.0.1:" + server.address().getPort() + ": "), message);
  }

  @Test
  void expertsOfAModelWithoutAnyAreRefused() throws Exception {
    Path dense =
        Fixtures.root().resolveSibling("format-spec/conformance/packages/valid/short-convolutions");
    var own = new Metrics("own", 1 << 28);
    try (MoxiePackage pack = MoxiePackage.open(dense);
        PlainModel plain = PlainModel.open(pack, new Unproven());
        Scheduler alone = TestModel.scheduler(plain, 1, 1, own);
        Server one = TestModel.server(pack, null, alone, List.of(), own)) {
      String asked = "{\"prompt\": [1], \"max_tokens\": 2, \"return_routed_experts\": true}";
      HttpResponse<String> refused = post(one, "/v1/completions", asked);
      assertEquals(400, refused.statusCode(), refused.body());
      assertTrue(refused.body().contains("a model with experts"), refused.body());
    }
  }
}

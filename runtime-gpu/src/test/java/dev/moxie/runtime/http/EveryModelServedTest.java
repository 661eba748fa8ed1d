package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.runtime.generation.Sampler;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.serve.Scheduler;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** What a server answers is what the model says alone, whatever else is in the batch. */
@Exhaustive
class EveryModelServedTest {
  private static final HttpClient CLIENT = HttpClient.newHttpClient();
  private static final int TOKENS = 8;

  @TempDir private Path folder;

  static Stream<Path> checkpoints() throws IOException {
    List<Path> all = new ArrayList<>(List.of(Fixtures.tinyMixtral(), Fixtures.tinyDeepSeek()));
    for (String name : List.of("random", "variants")) {
      try (Stream<Path> folders = Files.list(Fixtures.root().resolve(name))) {
        folders.sorted().forEach(all::add);
      }
    }
    return all.stream();
  }

  /** Tokens that differ from text to text, but begin alike in every second. */
  private static long[] prompt(int text, int vocabulary) {
    return LongStream.range(0, 6 + 3 * text)
        .map(i -> 1 + (7 * i + (i < 4 ? text % 2 : text)) % (vocabulary - 1))
        .toArray();
  }

  private static CompletableFuture<HttpResponse<String>> ask(
      Server server, long[] prompt, double temperature) {
    ObjectNode json = StrictJson.mapper(false).createObjectNode();
    Arrays.stream(prompt).forEach(json.putArray("prompt")::add);
    json.put("max_tokens", TOKENS).put("temperature", temperature).put("seed", 1);
    json.put("ignore_eos", true).put("return_token_ids", true);
    String uri = "http://127.0.0.1:%d/v1/completions".formatted(server.address().getPort());
    return CLIENT.sendAsync(
        HttpRequest.newBuilder(URI.create(uri))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(json.toString()))
            .build(),
        HttpResponse.BodyHandlers.ofString());
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void servedTokensAreThoseOfTheModelAlone(Path checkpoint) {
    var metrics = new Metrics("tiny", 1 << 28);
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        TextTokenizer tokenizer = TextTokenizer.isThere(pack) ? TextTokenizer.of(pack) : null;
        PlainModel model = PlainModel.open(pack, new Unproven())) {
      try (var scheduler = TestModel.scheduler(model, 64, 64, metrics)) {
        requireSameAlone(pack, tokenizer, model, scheduler, metrics);
      }
      if (pack.architecture().prediction() != null) {
        try (var scheduler = TestModel.guessing(model, metrics)) {
          requireSameAlone(pack, tokenizer, model, scheduler, metrics);
        }
      }
    }
  }

  private static void requireSameAlone(
      MoxiePackage pack,
      @Nullable TextTokenizer tokenizer,
      PlainModel model,
      Scheduler scheduler,
      Metrics metrics) {
    try (Server server = TestModel.server(pack, tokenizer, scheduler, List.of(), metrics)) {
      List<long[]> prompts = new ArrayList<>();
      List<List<Long>> alone = new ArrayList<>();
      for (int text = 0; text < 4; text++) {
        prompts.add(prompt(text, pack.architecture().vocabSize()));
        alone.add(
            Generator.generate(
                model, prompts.get(text), TOKENS, Sampler.GREEDY, Set.of(), token -> {}));
      }
      List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
      for (long[] prompt : prompts) {
        answers.add(ask(server, prompt, 0));
        answers.add(ask(server, prompt, 1));
      }
      for (int i = 0; i < answers.size(); i++) {
        HttpResponse<String> response = answers.get(i).join();
        assertEquals(200, response.statusCode(), response.body());
        JsonNode ids =
            StrictJson.mapper(false).readTree(response.body()).at("/choices/0/token_ids");
        if (i % 2 == 0) {
          assertEquals(alone.get(i / 2), ids.valueStream().map(JsonNode::longValue).toList());
        }
      }
    }
  }
}

package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.moxie.format.json.StrictJson;
import dev.moxie.runtime.execution.StorageReads;
import dev.moxie.runtime.plain.ExpertMemory;
import dev.moxie.runtime.serve.Scheduler;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Figures of experts, against those that answers say were routed to. */
class ExpertMetricsTest {
  private static final int LAYERS = 4;
  private static final int EXPERTS = 8;
  private static final int PER_TOKEN = 2;

  @TempDir Path folder;

  private static JsonNode complete(Server server, String body) throws Exception {
    URI uri = URI.create("http://127.0.0.1:%d/v1/completions".formatted(server.address().getPort()));
    HttpRequest request =
        HttpRequest.newBuilder(uri)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    HttpResponse<String> response =
        HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    assertEquals(200, response.statusCode(), response.body());
    return StrictJson.mapper(false).readTree(response.body());
  }

  /** A figure of the metrics' text; empty if there is none. */
  private static Optional<Double> figure(Metrics metrics, String series) {
    return metrics
        .text()
        .lines()
        .filter(line -> line.startsWith(series + " "))
        .map(line -> Double.parseDouble(line.substring(series.length() + 1)))
        .findFirst();
  }

  private static double ofLayer(Metrics metrics, String name, int layer) {
    return figure(metrics, "%s{layer=\"%d\",model_name=\"own\"}".formatted(name, layer))
        .orElseThrow();
  }

  private static long[][] counted(JsonNode json) {
    ByteBuffer routed =
        ByteBuffer.wrap(
                Base64.getDecoder()
                    .decode(json.at("/choices/0/meta_info/routed_experts").stringValue()))
            .order(ByteOrder.LITTLE_ENDIAN);
    long[][] counts = new long[LAYERS][EXPERTS];
    for (int i = 0; routed.hasRemaining(); i++) {
      counts[i / PER_TOKEN % LAYERS][routed.getInt()]++;
    }
    return counts;
  }

  private static void requireFiguresOf(long[][] counts, Metrics metrics) {
    for (int layer = 0; layer < LAYERS; layer++) {
      double[] shares = new double[EXPERTS];
      long all = 0;
      int unused = 0;
      for (long count : counts[layer]) {
        all += count;
        unused += count == 0 ? 1 : 0;
      }
      for (int expert = 0; expert < EXPERTS; expert++) {
        shares[expert] = (double) counts[layer][expert] / all;
        String series =
            "moxie_expert_tokens_total{expert=\"%d\",layer=\"%d\",model_name=\"own\"}"
                .formatted(expert, layer);
        assertEquals(counts[layer][expert], figure(metrics, series).orElseThrow(), series);
      }
      double most = DoubleStream.of(shares).max().orElseThrow();
      assertEquals(EXPERTS * most, ofLayer(metrics, "moxie_expert_imbalance", layer), 1e-12);
      double entropy = 0;
      for (double share : shares) {
        entropy -= share == 0 ? 0 : share * Math.log(share);
      }
      assertEquals(
          Math.exp(entropy), ofLayer(metrics, "moxie_experts_effective", layer), 1e-12);
      assertEquals(unused, ofLayer(metrics, "moxie_experts_unused", layer));
    }
  }

  @Test
  void expertsAreCountedAsAnswersSayTheyWereRouted() throws Exception {
    try (TestModel model = TestModel.open(folder)) {
      var own = new Metrics("own", 1 << 28);
      try (Scheduler alone = model.scheduler(2, 2, own);
          Server server = model.server(alone, List.of(), own)) {
        own.show(alone.load(), true);
        assertTrue(Double.isNaN(ofLayer(own, "moxie_expert_imbalance", 0)), "nothing passed yet");
        JsonNode json =
            complete(
                server,
                "{\"prompt\": \"Once upon a time\", \"max_tokens\": 40, \"temperature\": 0,"
                    + " \"ignore_eos\": true, \"return_routed_experts\": true}");
        requireFiguresOf(counted(json), own);
      }
    }
  }

  @Test
  void withoutBeingAskedForExpertsHaveNoSeriesOfTheirOwn() {
    try (TestModel model = TestModel.open(folder)) {
      var own = new Metrics("own", 1 << 28);
      own.show(model.scheduler().load(), false);
      assertFalse(own.text().contains("moxie_expert_tokens"), own.text());
      assertTrue(own.text().contains("moxie_experts_dead{layer=\"3\",model_name=\"own\"}"));
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void bytesOfExpertsAreThoseOfTheirMemory() throws Exception {
    assumeFalse(Files.getFileStore(folder).type().equals("tmpfs"));
    try (TestModel model = TestModel.open(folder)) {
      var own = new Metrics("own", 1 << 28);
      ExpertMemory memory = model.model().limitMemory(2_500_000);
      own.count(model.model(), memory);
      long before = StorageReads.bytes().orElseThrow();
      try (Scheduler alone = model.scheduler(2, 2, own);
          Server server = model.server(alone, List.of(), own)) {
        complete(server, "{\"prompt\": \"Once upon a time\", \"max_tokens\": 40}");
      }
      ExpertMemory.Hits hits = memory.hits();
      assertTrue(hits.chosenBytes() > hits.residentBytes() && hits.residentBytes() > 0);
      String label = "_total{model_name=\"own\"}";
      assertEquals(hits.chosenBytes(), figure(own, "moxie_expert_chosen_bytes" + label).orElseThrow());
      assertEquals(
          hits.residentBytes(), figure(own, "moxie_expert_resident_bytes" + label).orElseThrow());
      assertEquals(
          model.model().weightBytes(), figure(own, "moxie_weight_bytes" + label).orElseThrow());
      double read = figure(own, "moxie_storage_read_bytes" + label).orElseThrow();
      assertTrue(before < read && read <= StorageReads.bytes().orElseThrow());
      assertTrue(
          figure(own, "process_resident_memory_bytes{model_name=\"own\"}").orElseThrow() > 1e6);
    }
  }
}

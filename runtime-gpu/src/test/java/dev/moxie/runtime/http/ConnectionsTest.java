package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.runtime.serve.Scheduler;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Clients that leave, wait, do not read, or come when there is no room. */
class ConnectionsTest {
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  @TempDir static Path folder;

  private static TestModel model;

  @BeforeAll
  static void start() {
    model = TestModel.open(folder);
  }

  @AfterAll
  static void stop() {
    model.close();
  }

  private static String completion(int tokens, String more) {
    return "{\"prompt\": \"A\", \"temperature\": 0, \"ignore_eos\": true, \"max_tokens\": %d%s}"
        .formatted(tokens, more);
  }

  private static HttpResponse<String> post(Server one, String body) throws Exception {
    var uri = "http://127.0.0.1:%d/v1/completions".formatted(one.address().getPort());
    return CLIENT.send(
        HttpRequest.newBuilder(URI.create(uri))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build(),
        HttpResponse.BodyHandlers.ofString());
  }

  private static void await(String metric, Metrics meter) throws InterruptedException {
    for (int i = 0; i < 600 && !meter.text().contains(metric); i++) {
      Thread.sleep(50);
    }
    assertTrue(meter.text().contains(metric), meter.text());
  }

  private static Socket ask(Server one, String body) throws IOException {
    var socket = new Socket(InetAddress.getLoopbackAddress(), one.address().getPort());
    String head =
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + "Content-Length: %d\r\n\r\n".formatted(body.length());
    socket.getOutputStream().write((head + body).getBytes(StandardCharsets.US_ASCII));
    return socket;
  }

  /** A stream that goes on as long as may be, read until its first event. */
  private static Socket streaming(Server one) throws IOException {
    Socket socket = ask(one, completion(500, ", \"stream\": true"));
    InputStream in = socket.getInputStream();
    var seen = new StringBuilder();
    while (seen.indexOf("data: ") < 0) {
      seen.append((char) in.read());
    }
    return socket;
  }

  @Test
  void aClientThatLeavesBeforeItsWholeAnswerLeavesNoWork() throws Exception {
    Assumptions.assumeTrue(
        Files.isReadable(Path.of("/proc/self/net/tcp")), "noticed on Linux alone");
    var own = new Metrics("own", 1 << 28);
    int texts = 64;
    int tokens = 500;
    try (Scheduler alone = model.scheduler(1, texts, own);
        Server one = model.server(alone, List.of(), own)) {
      Socket socket = ask(one, completion(tokens, ", \"n\": " + texts));
      await("vllm:num_requests_running{model_name=\"own\"} 1", own);
      socket.close();
      await("vllm:num_requests_running{model_name=\"own\"} 0", own);
      double passed =
          own.text()
              .lines()
              .filter(line -> line.startsWith("moxie_step_tokens_total"))
              .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' '))))
              .sum();
      assertTrue(passed > 0 && passed < texts * tokens, passed + " tokens passed");
    }
  }

  @Test
  void clientsThatSayNothingOrDoNotReadStopNobody() throws Exception {
    List<Socket> others = new ArrayList<>();
    try (Server one = model.server(model.scheduler(), List.of(), model.metrics())) {
      for (int i = 0; i < 200; i++) {
        others.add(new Socket(InetAddress.getLoopbackAddress(), one.address().getPort()));
      }
      for (int i = 0; i < 50; i++) {
        others.add(ask(one, completion(500, ", \"stream\": true")));
      }
      for (int i = 0; i < 20; i++) {
        HttpResponse<String> answer = post(one, completion(12, ""));
        assertEquals(200, answer.statusCode(), answer.body());
      }
    } finally {
      for (Socket socket : others) {
        socket.close();
      }
    }
  }

  @Test
  void aClientThatLeavesLeavesNoWork() throws Exception {
    var own = new Metrics("own", 1 << 28);
    try (Scheduler alone = model.scheduler(2, 2, own);
        Server one = model.server(alone, List.of(), own)) {
      Socket socket = streaming(one);
      await("vllm:num_requests_running{model_name=\"own\"} 1", own);
      socket.close();
      await("vllm:num_requests_running{model_name=\"own\"} 0", own);
      HttpResponse<String> after = post(one, completion(12, ""));
      assertEquals(200, after.statusCode());
    }
  }

  @Test
  void aFullQueueSaysWhenToTryAgain() throws Exception {
    var own = new Metrics("own", 1 << 28);
    try (Scheduler alone = model.scheduler(1, 1, own);
        Server one = model.server(alone, List.of(), own)) {
      HttpResponse<String> refused = post(one, completion(400, ", \"n\": 60"));
      assertEquals(429, refused.statusCode(), refused.body());
      assertEquals("1", refused.headers().firstValue("Retry-After").orElseThrow());
      int later = 429;
      for (int i = 0; i < 600 && later == 429; i++) {
        Thread.sleep(50);
        later = post(one, completion(12, "")).statusCode();
      }
      assertEquals(200, later);
    }
  }

  @Test
  void closingLetsAnswersEnd() throws Exception {
    var own = new Metrics("own", 1 << 28);
    try (Scheduler alone = model.scheduler(2, 2, own)) {
      Server one = model.server(alone, List.of(), own);
      Socket socket = streaming(one);
      one.close(Duration.ofSeconds(30));
      String rest = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertTrue(rest.contains("data: [DONE]"), "the answer was cut");
      assertFalse(rest.contains("\"error\""), rest);
    }
  }
}

package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Requests that are broken at random, and clients that leave in the middle: each is answered with a
 * documented status or cut, and the server is as it was.
 */
@Exhaustive
class HostileRequestsTest {
  private static final int REQUESTS = 5000;
  private static final int STATUS_AT = 9;

  private static final List<String> BODIES =
      List.of(
          "{\"prompt\": \"Once upon\", \"max_tokens\": 2, \"temperature\": 0.5, \"seed\": 1}",
          "{\"prompt\": [1, 2, 3], \"max_tokens\": 3, \"logprobs\": 2, \"stop\": [\"a\", \"b\"]}",
          "{\"prompt\": [\"a\", \"b\"], \"n\": 2, \"max_tokens\": 1, \"stream\": true}",
          "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"max_tokens\": 2,"
              + " \"logit_bias\": {\"5\": -3.5}, \"top_p\": 0.5, \"min_p\": 0.1}",
          "{\"tokens\": [1, 2, 3]}",
          "{\"content\": \"Größe 🦉\"}");

  private static final List<String> PATHS =
      List.of(
          "/v1/completions",
          "/v1/chat/completions",
          "/tokenize",
          "/detokenize",
          "/apply-template",
          "/v1/models",
          "/%2e%2e/x",
          "/v1/models/%ff%00");

  private static final List<String> PIECES =
      List.of(
          "\"",
          "{",
          "}",
          "[",
          "]",
          ":",
          ",",
          "null",
          "-1",
          "1e999",
          "0.5",
          "true",
          "\\u0000",
          "\\ud800",
          "9999999999999999999",
          "\"max_tokens\": ",
          "\"stream\": true",
          "[[[[[[[[",
          "\u00ff",
          "\u0000",
          "\r\n",
          "\"stop\": \"\"",
          "\"n\": 3");

  @TempDir static Path folder;

  private static String mutated(Random random, String text) {
    var out = new StringBuilder(text);
    for (int i = random.nextInt(4); i > 0 && !out.isEmpty(); i--) {
      int at = random.nextInt(out.length());
      switch (random.nextInt(4)) {
        case 0 -> out.deleteCharAt(at);
        case 1 -> out.insert(at, PIECES.get(random.nextInt(PIECES.size())));
        case 2 -> out.setCharAt(at, (char) random.nextInt(0x180));
        default -> out.delete(at, Math.min(out.length(), at + random.nextInt(12)));
      }
    }
    return out.toString();
  }

  private static byte[] request(Random random) {
    byte[] body =
        mutated(random, BODIES.get(random.nextInt(BODIES.size())))
            .getBytes(
                random.nextInt(9) == 0 ? StandardCharsets.ISO_8859_1 : StandardCharsets.UTF_8);
    String method = random.nextInt(12) == 0 ? "GET" : random.nextInt(20) == 0 ? "PUT" : "POST";
    int length = random.nextInt(25) == 0 ? random.nextInt(200) : body.length;
    boolean chunked = random.nextInt(6) == 0;
    String head =
        method
            + " "
            + PATHS.get(random.nextInt(PATHS.size()))
            + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
            + (chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: " + length + "\r\n")
            + "\r\n";
    if (random.nextInt(10) == 0) {
      head = mutated(random, head);
    }
    byte[] start = head.getBytes(StandardCharsets.ISO_8859_1);
    byte[] size =
        chunked
            ? (Integer.toHexString(random.nextInt(30) == 0 ? 9999 : body.length) + "\r\n")
                .getBytes(StandardCharsets.ISO_8859_1)
            : new byte[0];
    byte[] end = chunked ? "\r\n0\r\n\r\n".getBytes(StandardCharsets.ISO_8859_1) : new byte[0];
    byte[] all = new byte[start.length + size.length + body.length + end.length];
    System.arraycopy(start, 0, all, 0, start.length);
    System.arraycopy(size, 0, all, start.length, size.length);
    System.arraycopy(body, 0, all, start.length + size.length, body.length);
    System.arraycopy(end, 0, all, all.length - end.length, end.length);
    return all;
  }

  /** The status; "cut" if the connection ended without one, "left" if the client did. */
  private static String sent(Server server, Random random) throws IOException {
    try (var socket = new Socket(InetAddress.getLoopbackAddress(), server.address().getPort())) {
      socket.setSoTimeout(30_000);
      socket.getOutputStream().write(request(random));
      if (random.nextInt(8) == 0) {
        return "left";
      }
      socket.shutdownOutput();
      InputStream in = socket.getInputStream();
      String answer = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return answer.length() > STATUS_AT + 3 ? answer.substring(STATUS_AT, STATUS_AT + 3) : "cut";
    } catch (java.net.SocketException e) {
      return "cut";
    }
  }

  @Test
  void noRequestGetsMoreThanADocumentedStatus() throws Exception {
    try (TestModel model = TestModel.open(folder);
        Server server = model.server(model.scheduler(), List.of(), model.metrics())) {
      Map<String, Integer> seen = new TreeMap<>();
      var random = new Random(1);
      for (int i = 0; i < REQUESTS; i++) {
        seen.merge(sent(server, random), 1, Integer::sum);
      }
      Map<String, Integer> others = new TreeMap<>(seen);
      List.of("200", "400", "404", "405", "411", "413", "415", "429", "501", "cut", "left")
          .forEach(others::remove);
      assertEquals(Map.of(), others, seen.toString());
      assertTrue(seen.get("200") > 100 && seen.get("400") > 100, seen.toString());
      for (int i = 0; i < 200 && !isIdle(model); i++) {
        Thread.sleep(50);
      }
      assertTrue(isIdle(model), model.metrics().text());
      HttpRequest request =
          HttpRequest.newBuilder(
                  URI.create("http://127.0.0.1:%d/health".formatted(server.address().getPort())))
              .build();
      try (HttpClient client = HttpClient.newHttpClient()) {
        assertEquals(200, client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
      }
    }
  }

  private static boolean isIdle(TestModel model) {
    return model.metrics().text().contains("vllm:num_requests_running{model_name=\"tiny\"} 0");
  }
}

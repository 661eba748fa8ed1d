package dev.moxie.runtime.http;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/** The page before a server that answers as a test says. */
final class StubServer implements AutoCloseable {
  private final HttpServer http;

  /** An answer to a chat. */
  @FunctionalInterface
  interface Answer {
    void to(HttpExchange exchange) throws IOException;
  }

  StubServer(String model, Answer answer) throws IOException {
    http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    http.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    http.createContext(
        "/",
        exchange -> {
          try (exchange) {
            String path = exchange.getRequestURI().getPath();
            if (Page.has(path)) {
              Page.HEADERS.forEach(exchange.getResponseHeaders()::set);
              send(exchange, 200, Page.file(path).type(), Page.file(path).text());
            } else if (path.equals("/v1/models")) {
              send(exchange, 200, "application/json", "{\"data\": [" + model + "]}");
            } else if (path.equals("/metrics")) {
              send(exchange, 200, "text/plain", "moxie_cache_bytes 5\n");
            } else {
              answer.to(exchange);
            }
          }
        });
    http.start();
  }

  String base() {
    return "http://127.0.0.1:" + http.getAddress().getPort() + "/";
  }

  static void send(HttpExchange exchange, int status, String type, String text) throws IOException {
    byte[] body = text.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", type);
    exchange.sendResponseHeaders(status, body.length);
    exchange.getResponseBody().write(body);
  }

  static void refuse(HttpExchange exchange, int status, String message) throws IOException {
    exchange.getResponseHeaders().set("Retry-After", "7");
    send(exchange, status, "application/json", "{\"error\": {\"message\": \"" + message + "\"}}");
  }

  /** Begins a stream. */
  static OutputStream stream(HttpExchange exchange) throws IOException {
    exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
    exchange.sendResponseHeaders(200, 0);
    return exchange.getResponseBody();
  }

  static void event(OutputStream out, String json) throws IOException {
    out.write(("data: " + json + "\n\n").getBytes(StandardCharsets.UTF_8));
    out.flush();
  }

  static String token(String text, String routed) {
    return "{\"choices\": [{\"delta\": {\"content\": \"%s\"}, \"routed\": %s}]}"
        .formatted(text, routed);
  }

  @Override
  public void close() {
    http.stop(0);
  }
}

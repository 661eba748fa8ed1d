package dev.moxie.runtime.http;

import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import tools.jackson.databind.JsonNode;

/** Answers one exchange, whole or as server-sent events. */
final class Responder {
  private final HttpExchange exchange;
  private final WriteWatch watch;
  private final Peer peer;
  private int status;

  Responder(HttpExchange exchange, WriteWatch watch) {
    this.exchange = exchange;
    this.watch = watch;
    peer = new Peer(exchange.getLocalAddress(), exchange.getRemoteAddress());
  }

  /** What it was answered with; 0 if it was not. */
  int status() {
    return status;
  }

  void send(int code, JsonNode json) throws IOException {
    send(code, "application/json", json.toString());
  }

  void send(int code, String type, String text) throws IOException {
    byte[] body = text.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", type);
    boolean head = exchange.getRequestMethod().equals("HEAD");
    watch.during(
        () -> {
          exchange.sendResponseHeaders(code, head || body.length == 0 ? -1 : body.length);
          status = code;
          if (!head && body.length > 0) {
            exchange.getResponseBody().write(body);
          }
        });
  }

  /**
   * Looks whether anybody waits for what is not sent yet.
   *
   * @throws IOException if nobody does
   */
  void requireClient() throws IOException {
    peer.require();
  }

  /** Begins to send events. */
  void begin() throws IOException {
    exchange.getResponseHeaders().set("Content-Type", "text/event-stream; charset=utf-8");
    exchange.getResponseHeaders().set("Cache-Control", "no-cache");
    watch.during(() -> exchange.sendResponseHeaders(200, 0));
    status = 200;
  }

  void event(String data) throws IOException {
    write("data: " + data + "\n\n");
  }

  /** Nothing; a client that has gone is noticed only when something is written. */
  void comment() throws IOException {
    write(": waiting\n\n");
  }

  private void write(String text) throws IOException {
    OutputStream out = exchange.getResponseBody();
    watch.during(
        () -> {
          out.write(text.getBytes(StandardCharsets.UTF_8));
          out.flush();
        });
  }
}

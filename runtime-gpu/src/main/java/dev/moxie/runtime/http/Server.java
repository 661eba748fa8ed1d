package dev.moxie.runtime.http;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * OpenAI's interface to one model, by the JDK's HTTP server on virtual threads. Malformed and slow
 * requests that server ends by itself; the limits here are of what it lets pass.
 */
public final class Server implements AutoCloseable {
  private static final Duration WRITE = Duration.ofSeconds(20);

  static {
    // Read once, when the JDK's server is first used; in seconds and bytes.
    Map.of(
            "sun.net.httpserver.maxReqTime", "20",
            "sun.net.httpserver.idleInterval", "60",
            "sun.net.httpserver.maxReqHeaders", "100",
            "sun.net.httpserver.maxReqHeaderSize", "65536",
            "sun.net.httpserver.nodelay", "true",
            "jdk.httpserver.maxConnections", "4096")
        .forEach((name, value) -> System.setProperty(name, System.getProperty(name, value)));
  }

  private final HttpServer http;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final WriteWatch watch = new WriteWatch(WRITE);
  private final AtomicInteger answering = new AtomicInteger();
  private final Settings settings;
  private final Keys keys;
  private final Metrics metrics;
  private final Api api;
  private volatile boolean closing;

  /**
   * How a server serves.
   *
   * @param keys that clients must have one of; none if anybody may ask
   * @param mostBytes of a request's body
   * @param longest that an answer may take
   * @param version of this program
   */
  public record Settings(
      InetSocketAddress address,
      List<String> keys,
      int mostBytes,
      Duration longest,
      String version) {}

  /**
   * Begins to answer.
   *
   * @throws EnvironmentException if the address cannot be had
   */
  public static Server start(Served served, Settings settings, Metrics metrics) {
    HttpServer http;
    try {
      http = HttpServer.create(settings.address(), 0);
    } catch (IOException e) {
      throw new EnvironmentException(
          "%s:%d".formatted(settings.address().getHostString(), settings.address().getPort()),
          "an address to listen at",
          String.valueOf(e.getMessage()),
          "pass another --host or --port");
    }
    return new Server(http, served, settings, metrics);
  }

  private Server(HttpServer http, Served served, Settings settings, Metrics metrics) {
    this.http = http;
    this.settings = settings;
    this.metrics = metrics;
    keys = new Keys(settings.keys());
    api = new Api(served, settings, metrics);
    http.setExecutor(threads);
    http.createContext("/", this::handle);
    http.start();
  }

  /** Where it listens. */
  public InetSocketAddress address() {
    return http.getAddress();
  }

  private void handle(HttpExchange exchange) {
    var responder = new Responder(exchange, watch);
    String path = exchange.getRequestURI().getPath();
    answering.incrementAndGet();
    try {
      try {
        if (closing) {
          throw ApiException.server(503, "the server is closing.");
        }
        answer(exchange, path, responder);
      } catch (ApiException e) {
        refuse(exchange, responder, e);
      } catch (MoxieException e) {
        refuse(exchange, responder, ApiException.invalid(400, String.valueOf(e.getMessage())));
      } catch (RuntimeException e) {
        refuse(exchange, responder, ApiException.server(500, e.toString()));
      }
    } catch (IOException e) {
      // The client has gone.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      exchange.close();
      answering.decrementAndGet();
      metrics.responded(Api.isEndpoint(path) ? path : "other", responder.status());
    }
  }

  private static void refuse(HttpExchange exchange, Responder responder, ApiException e)
      throws IOException {
    if (responder.status() != 0) {
      // Events have begun: this is one more.
      responder.event(e.json().toString());
      responder.event("[DONE]");
      return;
    }
    if (e.status() == 429 || e.status() == 503) {
      exchange.getResponseHeaders().set("Retry-After", "1");
    }
    if (e.status() == 401) {
      exchange.getResponseHeaders().set("WWW-Authenticate", "Bearer");
    }
    responder.send(e.status(), e.json());
  }

  private void answer(HttpExchange exchange, String path, Responder responder)
      throws IOException, InterruptedException {
    if (!Api.isOpen(path) && !keys.allow(exchange.getRequestHeaders().getFirst("Authorization"))) {
      throw ApiException.unauthorised();
    }
    String method = exchange.getRequestMethod();
    boolean reads = method.equals("GET") || method.equals("HEAD");
    if (reads) {
      api.get(path, responder);
    } else if (method.equals("POST")) {
      api.post(path, new Fields(body(exchange, path)), responder);
    } else {
      throw ApiException.invalid(405, "expected GET or POST, found " + method + ".");
    }
  }

  private ObjectNode body(HttpExchange exchange, String path) throws IOException {
    Api.requirePost(path);
    String type =
        Objects.requireNonNullElse(exchange.getRequestHeaders().getFirst("Content-Type"), "");
    if (!type.split(";", 2)[0].strip().equalsIgnoreCase("application/json")) {
      // What a page elsewhere may make a browser send without being asked is of other types.
      throw ApiException.invalid(
          415, "Content-Type: expected application/json, found \"" + type + "\".");
    }
    byte[] bytes = exchange.getRequestBody().readNBytes(settings.mostBytes() + 1);
    if (bytes.length > settings.mostBytes()) {
      throw ApiException.invalid(
          413, "the body: expected at most " + settings.mostBytes() + " bytes, found more.");
    }
    try {
      JsonNode json = StrictJson.mapper(false).readTree(bytes);
      if (json instanceof ObjectNode object) {
        return object;
      }
    } catch (JacksonException e) {
      throw ApiException.invalid(
          400, "the body: expected JSON, found none: " + e.getOriginalMessage());
    }
    throw ApiException.invalid(400, "the body: expected a JSON object, found something else.");
  }

  /** Takes no more requests, lets those that are being answered end for so long, then ends them. */
  public void close(Duration grace) {
    closing = true;
    long until = System.nanoTime() + grace.toNanos();
    try {
      while (answering.get() > 0 && System.nanoTime() - until < 0) {
        Thread.sleep(Duration.ofMillis(20));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    http.stop(0);
    threads.shutdownNow();
    watch.close();
  }

  @Override
  public void close() {
    close(Duration.ZERO);
  }
}

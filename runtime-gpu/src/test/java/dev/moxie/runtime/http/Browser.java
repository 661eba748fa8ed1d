package dev.moxie.runtime.http;

import dev.moxie.format.json.StrictJson;
import java.io.File;
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
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Chromium without a window, where it is installed, by the WebDriver protocol (W3C, 2018). */
final class Browser implements AutoCloseable {
  private static final Pattern PORT = Pattern.compile("started successfully on port (\\d+)");
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  /** What keeps it from asking anybody for anything of its own. */
  private static final List<String> QUIET =
      List.of(
          "--headless",
          "--no-sandbox",
          "--disable-gpu",
          "--disable-quic",
          "--no-first-run",
          "--disable-background-networking",
          "--disable-component-update",
          "--disable-sync");

  /** The key that goes on to the next element. */
  static final String TAB = "\uE004";

  static final String RIGHT = "\uE014";
  static final String DOWN = "\uE015";

  private final Process driver;
  private final String session;

  private Browser(Process driver, String session) {
    this.driver = driver;
    this.session = session;
  }

  private static Optional<Path> program(String name) {
    return Arrays.stream(System.getenv("PATH").split(File.pathSeparator))
        .map(folder -> Path.of(folder, name))
        .filter(Files::isExecutable)
        .findFirst();
  }

  static boolean isThere() {
    return program("chromium").isPresent() && program("chromedriver").isPresent();
  }

  /**
   * Starts one.
   *
   * @param folder for what it keeps, empty
   */
  static Browser start(Path folder) throws Exception {
    Path said = folder.resolve("said");
    Process driver =
        new ProcessBuilder(program("chromedriver").orElseThrow().toString(), "--port=0")
            .redirectErrorStream(true)
            .redirectOutput(said.toFile())
            .start();
    String base = "http://127.0.0.1:" + port(said);
    ObjectNode body = StrictJson.mapper(false).createObjectNode();
    ObjectNode wanted = body.putObject("capabilities").putObject("alwaysMatch");
    wanted.put("browserName", "chrome");
    wanted.putObject("goog:loggingPrefs").put("performance", "ALL").put("browser", "ALL");
    ObjectNode options = wanted.putObject("goog:chromeOptions");
    options.put("binary", program("chromium").orElseThrow().toString());
    ArrayNode arguments = options.putArray("args");
    QUIET.forEach(arguments::add);
    arguments.add("--user-data-dir=" + Files.createDirectory(folder.resolve("profile")));
    JsonNode session = send("POST", base + "/session", body);
    return new Browser(driver, base + "/session/" + session.get("sessionId").stringValue());
  }

  private static int port(Path said) throws Exception {
    for (int i = 0; i < 600; i++) {
      Matcher port = PORT.matcher(Files.readString(said));
      if (port.find()) {
        return Integer.parseInt(port.group(1));
      }
      Thread.sleep(50);
    }
    throw new IOException("chromedriver said " + Files.readString(said));
  }

  private static JsonNode send(String method, String uri, JsonNode body) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(uri))
            .method(
                method,
                body.isEmpty() && !method.equals("POST")
                    ? HttpRequest.BodyPublishers.noBody()
                    : HttpRequest.BodyPublishers.ofString(body.toString()))
            .build();
    HttpResponse<String> response = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
    JsonNode value = StrictJson.mapper(false).readTree(response.body()).get("value");
    if (response.statusCode() != 200) {
      throw new IOException(method + " " + uri + ": " + value);
    }
    return value;
  }

  private JsonNode post(String command, JsonNode body) throws Exception {
    return send("POST", session + command, body);
  }

  private static ObjectNode object() {
    return StrictJson.mapper(false).createObjectNode();
  }

  void go(String uri) throws Exception {
    post("/url", object().put("url", uri));
  }

  /** What a function body returns in the page. */
  JsonNode run(String script, String... arguments) throws Exception {
    ObjectNode body = object().put("script", script);
    ArrayNode given = body.putArray("args");
    for (String argument : arguments) {
      given.add(argument);
    }
    return post("/execute/sync", body);
  }

  /** Waits until an expression of the page is true. */
  void await(String expression) throws Exception {
    for (int i = 0; i < 600; i++) {
      if (run("return Boolean(" + expression + ")").booleanValue()) {
        return;
      }
      Thread.sleep(50);
    }
    throw new AssertionError(
        expression + " did not become true of " + run("return document.body.innerText"));
  }

  /** Presses a key, or types a text, where the focus is. */
  void type(String keys) throws Exception {
    ObjectNode body = object();
    ObjectNode keyboard = body.putArray("actions").addObject().put("type", "key").put("id", "k");
    ArrayNode actions = keyboard.putArray("actions");
    keys.codePoints()
        .mapToObj(Character::toString)
        .forEach(
            key -> {
              actions.addObject().put("type", "keyDown").put("value", key);
              actions.addObject().put("type", "keyUp").put("value", key);
            });
    post("/actions", body);
  }

  /** What elements are called for whoever hears them. */
  List<String> names(String selector) throws Exception {
    ObjectNode body = object().put("using", "css selector").put("value", selector);
    List<String> names = new ArrayList<>();
    for (JsonNode element : post("/elements", body)) {
      String id = element.properties().iterator().next().getValue().stringValue();
      names.add(send("GET", session + "/element/" + id + "/computedlabel", object()).stringValue());
    }
    return names;
  }

  /** As wide as a phone. */
  void narrow(int width, int height) throws Exception {
    ObjectNode body = object().put("cmd", "Emulation.setDeviceMetricsOverride");
    body.putObject("params")
        .put("width", width)
        .put("height", height)
        .put("deviceScaleFactor", 1)
        .put("mobile", true);
    post("/goog/cdp/execute", body);
  }

  /** As wide as its window again. */
  void wide() throws Exception {
    ObjectNode body = object().put("cmd", "Emulation.clearDeviceMetricsOverride");
    body.putObject("params");
    post("/goog/cdp/execute", body);
  }

  /** What the page has asked for since this was asked last. */
  List<String> requests() throws Exception {
    List<String> requests = new ArrayList<>();
    for (JsonNode entry : post("/se/log", object().put("type", "performance"))) {
      JsonNode message =
          StrictJson.mapper(false).readTree(entry.get("message").stringValue()).get("message");
      if (message.get("method").stringValue().equals("Network.requestWillBeSent")) {
        requests.add(message.at("/params/request/url").stringValue());
      }
    }
    return requests;
  }

  /** What the browser complains of. */
  String complaints() throws Exception {
    return post("/se/log", object().put("type", "browser")).toString();
  }

  @Override
  public void close() throws Exception {
    try {
      send("DELETE", session, object());
    } finally {
      driver.destroy();
      driver.waitFor();
    }
  }
}

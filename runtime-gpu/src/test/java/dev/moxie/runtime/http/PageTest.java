package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** The page in Chromium, before a trained model and before servers that misbehave. */
@Exhaustive
class PageTest {
  private static final String HOSTILE = "<img src=x onerror=document.title=1>";
  private static final String MODEL =
      "{\"id\": \"stub\", \"max_model_len\": 512,"
          + " \"moxie\": {\"text\": true, \"chat\": true, \"experts\": [0, 4]}}";
  private static final String ROUTED =
      "{\"experts\": [[], [3, 1]], \"weights\": [[], [0.75, 0.25]], \"margins\": [null, 0.5]}";

  @TempDir static Path folder;

  private static TestModel model;
  private static Browser browser;

  /** Where the page of a test came from. */
  private String base = "";

  @BeforeAll
  static void start() throws Exception {
    assumeTrue(Browser.isThere(), "no chromium and chromedriver: the page was tried in no browser");
    model = TestModel.open(Files.createDirectory(folder.resolve("model")));
    browser = Browser.start(Files.createDirectory(folder.resolve("browser")));
  }

  @AfterAll
  static void stop() throws Exception {
    if (model != null) {
      model.close();
    }
    if (browser != null) {
      browser.close();
    }
  }

  @AfterEach
  void nothingElseWasAskedAndNothingRefused() throws Exception {
    for (String request : browser.requests()) {
      // The browser's own pages and controls are of chrome: and data:, which reach nobody.
      boolean stays = request.startsWith("chrome:") || request.startsWith("data:");
      assertTrue(stays || request.startsWith(base), request);
    }
    String complaints = browser.complaints();
    assertFalse(complaints.contains("Content Security Policy"), complaints);
    assertFalse(complaints.contains("Uncaught"), complaints);
  }

  private void open(String uri) throws Exception {
    browser.go("about:blank"); // The page before asks for figures until then.
    browser.requests();
    browser.complaints();
    base = uri;
    browser.go(uri);
  }

  private static void write(String text, String limit) throws Exception {
    browser.await("!document.getElementById('send').disabled");
    browser.run(
        """
        document.getElementById('temperature').value = 0;
        document.getElementById('limit').value = arguments[1];
        document.getElementById('prompt').value = arguments[0];
        document.getElementById('send').click();
        """,
        text,
        limit);
  }

  private static void awaitState(String words) throws Exception {
    browser.await("document.getElementById('state').textContent.includes('" + words + "')");
  }

  private static String text(String selector) throws Exception {
    return browser
        .run("return document.querySelector(arguments[0]).textContent", selector)
        .stringValue();
  }

  private JsonNode chat(String text) throws Exception {
    String body =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}], \"temperature\": 0,"
            + " \"max_tokens\": 20, \"return_routed_experts\": true}";
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(base + "v1/chat/completions"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body.formatted(text)))
            .build();
    return StrictJson.mapper(false)
        .readTree(
            HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
  }

  /** The experts that the table has of each token that passed. */
  private static List<Integer> table() throws Exception {
    JsonNode ids =
        browser.run(
            """
            const frame = () => new Promise((seen) => requestAnimationFrame(() => seen()));
            return (async () => {
              const all = [];
              for (const token of [...document.querySelectorAll('.token')].slice(0, -1)) {
                token.focus();
                await frame();
                all.push(...[...document.querySelectorAll('#table li b')].map((b) => Number(b.textContent)));
              }
              return all;
            })();
            """);
    List<Integer> table = new ArrayList<>();
    ids.forEach(id -> table.add(id.intValue()));
    return table;
  }

  @Test
  void anAnswerAppearsWithTheExpertsThatTheServerRoutedItTo() throws Exception {
    try (Server server = model.server(model.scheduler(), List.of(), model.metrics())) {
      open("http://127.0.0.1:%d/".formatted(server.address().getPort()));
      write("Once upon a time", "20");
      awaitState("The answer ended");
      JsonNode whole = chat("Once upon a time");
      String answer = whole.at("/choices/0/message/content").stringValue();
      assertEquals(answer, text(".tokens"));
      assertEquals(answer, text(".answered .unseen:not(h3)"), "for whoever hears it");
      byte[] raw =
          Base64.getDecoder().decode(whole.at("/choices/0/meta_info/routed_experts").stringValue());
      ByteBuffer numbers = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN);
      numbers.position(whole.at("/usage/prompt_tokens").intValue() * 4 * 2 * Integer.BYTES);
      List<Integer> routed = new ArrayList<>();
      while (numbers.hasRemaining()) {
        routed.add(numbers.getInt());
      }
      assertEquals(19 * 4 * 2, routed.size());
      assertEquals(routed, table());
      long busiest = 0;
      for (int expert = 0; expert < 8; expert++) {
        int own = 0;
        for (int i = 0; i < routed.size(); i++) {
          own += i % 8 < 2 && routed.get(i) == expert ? 1 : 0;
        }
        busiest = Math.max(busiest, own);
      }
      String share = "has %.0f %%".formatted(100.0 * busiest / (19 * 2));
      browser.await("document.getElementById('load-words').textContent.includes('" + share + "')");
      browser.await("document.querySelector('#figures').textContent.includes('resident')");
    }
  }

  @Test
  void withAKeyThePageAsksForItAndKeepsItInMemoryAlone() throws Exception {
    try (Server server =
        model.server(model.scheduler(), List.of("secret"), new Metrics("x", 1 << 28))) {
      open("http://127.0.0.1:%d/".formatted(server.address().getPort()));
      for (String key : List.of("wrong", "secret")) {
        browser.await("document.getElementById('ask').open");
        browser.run("document.getElementById('key').focus()");
        browser.type(key + "\uE007");
        browser.await("document.getElementById('key').value === ''");
        if (key.equals("wrong")) {
          browser.await("document.getElementById('notice').textContent.includes('none of its')");
        }
      }
      write("Once", "3");
      awaitState("The answer ended");
      assertFalse(browser.run("return document.getElementById('ask').open").booleanValue());
      String kept =
          "return [localStorage.length, sessionStorage.length, document.cookie, location.href]";
      assertEquals("[0,0,\"\",\"" + base + "\"]", browser.run(kept).toString());
    }
  }

  @Test
  void whateverIsWrittenIsShownAsText() throws Exception {
    try (var stub =
        new StubServer(
            MODEL.replace("stub", HOSTILE),
            exchange -> {
              OutputStream out = StubServer.stream(exchange);
              StubServer.event(out, StubServer.token(HOSTILE, "null"));
              StubServer.event(out, StubServer.token("</span><script>document.title=2", ROUTED));
              StubServer.event(out, "[DONE]");
            })) {
      open(stub.base());
      write(HOSTILE, "5");
      awaitState("The answer ended");
      assertEquals(HOSTILE + "</span><script>document.title=2", text(".tokens"));
      assertEquals(HOSTILE, text(".asked p"));
      assertEquals(HOSTILE, text("#model"));
      String counts = "return [document.images.length, document.scripts.length, document.title]";
      assertEquals("[1,1,\"" + HOSTILE + " – Moxie\"]", browser.run(counts).toString());
      String token = "'1 " + HOSTILE.replace(' ', '␣') + "'";
      browser.await("document.getElementById('token').textContent === " + token);
    }
  }

  @Test
  void stoppingLeavesTheServer() throws Exception {
    var left = new CountDownLatch(1);
    try (var stub =
        new StubServer(
            MODEL,
            exchange -> {
              OutputStream out = StubServer.stream(exchange);
              try {
                while (true) {
                  StubServer.event(out, StubServer.token("on ", ROUTED));
                  Thread.sleep(20);
                }
              } catch (IOException e) {
                left.countDown();
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            })) {
      open(stub.base());
      write("go", "500");
      browser.await("document.querySelectorAll('.token').length > 5");
      assertEquals(1, left.getCount());
      browser.run("document.getElementById('stop').click()");
      awaitState("The answer was stopped");
      assertTrue(left.await(30, TimeUnit.SECONDS), "the server goes on writing");
      assertTrue(browser.run("return document.getElementById('notice').hidden").booleanValue());
      assertFalse(browser.run("return document.getElementById('send').hidden").booleanValue());
    }
  }

  @Test
  void whatGoesWrongIsSaidInWords() throws Exception {
    int[] next = {0};
    try (var stub =
        new StubServer(
            MODEL,
            exchange -> {
              switch (next[0]++) {
                case 0 -> StubServer.refuse(exchange, 429, "busy");
                case 1 -> StubServer.refuse(exchange, 503, "the server is closing.");
                case 2 -> StubServer.refuse(exchange, 400, "max_tokens: expected less.");
                case 3 ->
                    StubServer.event(
                        StubServer.stream(exchange), "{\"error\": {\"message\": \"no memory.\"}}");
                default ->
                    StubServer.event(StubServer.stream(exchange), StubServer.token("a", "null"));
              }
            })) {
      open(stub.base());
      for (String words :
          List.of(
              "Try again in 7 s.",
              "The server cannot answer now: the server is closing.",
              "The server refused: max_tokens: expected less.",
              "The server cannot answer now: no memory.",
              "The server is gone: the answer was cut.")) {
        write("a", "5");
        awaitState("The answer did not come");
        assertTrue(text("#notice").contains(words), text("#notice"));
      }
      assertEquals(
          "alert", browser.run("return document.getElementById('notice').role").stringValue());
    }
    write("a", "5");
    browser.await("document.getElementById('notice').textContent.includes('nothing answers')");
  }

  /** With as many layers and experts as any, and a text that cannot be broken. */
  @Test
  void aPhoneNeedsNoScrollingSideways() throws Exception {
    String experts = String.join(",", Collections.nCopies(60, "384"));
    String ids = String.join(",", Collections.nCopies(60, "[383,1,2,3,4,5,6,77]"));
    String weights = String.join(",", Collections.nCopies(60, "[0.3,0.1,0.1,0.1,0.1,0.1,0.1,0.1]"));
    String margins = String.join(",", Collections.nCopies(60, "0.000001"));
    String routed =
        "{\"experts\": [%s], \"weights\": [%s], \"margins\": [%s]}"
            .formatted(ids, weights, margins);
    try (var stub =
        new StubServer(
            MODEL.replace("0, 4", experts).replace("stub", "model-".repeat(30)),
            exchange -> {
              OutputStream out = StubServer.stream(exchange);
              StubServer.event(out, StubServer.token("x".repeat(300), "null"));
              for (int i = 0; i < 300; i++) {
                StubServer.event(out, StubServer.token("y", routed));
              }
              StubServer.event(out, "[DONE]");
            })) {
      browser.narrow(360, 740);
      open(stub.base());
      write("z".repeat(300), "500");
      awaitState("The answer ended");
      String wide = "return [document.documentElement.scrollWidth, innerWidth]";
      assertEquals("[360,360]", browser.run(wide).toString());
    } finally {
      browser.wide();
    }
  }

  @Test
  void aKeyboardReachesEverythingAndEverythingHasAName() throws Exception {
    try (var stub =
        new StubServer(
            MODEL,
            exchange -> {
              OutputStream out = StubServer.stream(exchange);
              StubServer.event(out, StubServer.token("one", "null"));
              StubServer.event(out, StubServer.token(" two", ROUTED));
              StubServer.event(out, StubServer.token(" three", ROUTED));
              StubServer.event(out, "[DONE]");
            })) {
      open(stub.base());
      write("a", "5");
      awaitState("The answer ended");
      browser.run("document.querySelector('.skip').focus()");
      List<String> order = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        browser.type(Browser.TAB);
        order.add(
            browser
                .run("const e = document.activeElement; return e.id || e.classList[0]")
                .stringValue());
      }
      assertEquals(
          List.of("token", "prompt", "temperature", "limit", "clear", "send", "layer", "scroll"),
          order);
      browser.run("document.querySelector('.token').focus()");
      browser.type(Browser.RIGHT);
      browser.await("document.getElementById('token').textContent === '2 ␣two'");
      String words = "Layer 1: expert 3 by 0.75, expert 1 by 0.25; margin 0.50";
      assertEquals(words + ".", text("#token-words"));
      assertEquals(
          words, browser.run("return document.activeElement.ariaDescription").stringValue());
      assertEquals("3 0.75", text("#table tr:nth-child(2) li"));
      assertEquals("0.50", text("#table tr:nth-child(2) .number"));
      List<String> names =
          browser.names(
              "main :is(input, select, textarea, button:not([hidden]), canvas, section,"
                  + " [role=log], [role=listbox], [role=option], [role=img], [role=region])");
      assertFalse(names.contains(""), names.toString());
    }
  }
}

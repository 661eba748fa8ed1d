package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The page's files, from a server that asks for a key. */
class PageFilesTest {
  @TempDir static Path folder;

  private static TestModel model;
  private static Server server;

  @BeforeAll
  static void start() {
    model = TestModel.open(folder);
    server = model.server(model.scheduler(), List.of("key"), new Metrics("x", 1));
  }

  @AfterAll
  static void stop() {
    server.close();
    model.close();
  }

  private static HttpResponse<String> get(String path) throws Exception {
    URI uri = URI.create("http://127.0.0.1:" + server.address().getPort() + path);
    return HttpClient.newHttpClient()
        .send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
  }

  private static String header(HttpResponse<String> response, String name) {
    return response.headers().firstValue(name).orElse("none");
  }

  /** Of what the page and its modules ask for, none is missing. */
  @Test
  void everyFileIsThereWithItsTypeAndPolicyAndNeedsNoKey() throws Exception {
    HttpResponse<String> page = get("/");
    assertEquals(200, page.statusCode());
    assertEquals("text/html; charset=utf-8", header(page, "Content-Type"));
    Matcher names = Pattern.compile("/page/([a-z]+\\.[a-z]+)").matcher(page.body());
    assertTrue(names.find());
    do {
      HttpResponse<String> file = get(names.group());
      assertEquals(200, file.statusCode(), names.group());
      String type = names.group().replaceAll(".*\\.", "");
      String expected =
          switch (type) {
            case "css" -> "text/css; charset=utf-8";
            case "svg" -> "image/svg+xml";
            default -> "text/javascript; charset=utf-8";
          };
      assertEquals(expected, header(file, "Content-Type"));
      assertEquals("nosniff", header(file, "X-Content-Type-Options"));
      assertTrue(header(file, "Content-Security-Policy").startsWith("default-src 'none';"));
    } while (names.find());
    requireModules("page.js");
  }

  private static void requireModules(String name) throws Exception {
    HttpResponse<String> module = get("/page/" + name);
    assertEquals(200, module.statusCode(), name);
    Matcher imports = Pattern.compile("from './([a-z]+\\.js)'").matcher(module.body());
    while (imports.find()) {
      requireModules(imports.group(1));
    }
  }

  @Test
  void nothingInlineCouldRun() throws Exception {
    String policy = header(get("/"), "Content-Security-Policy");
    assertFalse(policy.contains("unsafe"), policy);
    assertTrue(policy.contains("frame-ancestors 'none'"), policy);
    assertTrue(policy.contains("require-trusted-types-for 'script'"), policy);
    String page = get("/").body();
    assertFalse(
        Pattern.compile("<script(?![^>]*src=)|\\son[a-z]+=|\\sstyle=").matcher(page).find());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/page",
        "/page/",
        "/page/page.html",
        "/page.html",
        "/page/../page.css",
        "/page/%2e%2e/Server.class",
        "/page//page.js",
        "/page/page.js/",
        "/page/PAGE.JS"
      })
  void noOtherNameLeadsAnywhere(String path) throws Exception {
    assertEquals(401, get(path).statusCode());
  }
}

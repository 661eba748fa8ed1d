package dev.moxie.runtime.http;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The page for people: a few files of this program, by their names and no others. It may load
 * nothing but these, ask nobody but this server, and be shown in no other page.
 */
final class Page {
  private static final String POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
          + " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
          + " require-trusted-types-for 'script'; trusted-types 'none'";

  /** What it is sent with, besides the type. */
  static final Map<String, String> HEADERS =
      Map.of(
          "Content-Security-Policy", POLICY,
          "Referrer-Policy", "no-referrer",
          "Cross-Origin-Opener-Policy", "same-origin",
          "Cross-Origin-Resource-Policy", "same-origin",
          "Cache-Control", "no-cache");

  private static final List<String> NAMES =
      List.of(
          "page.css",
          "icon.svg",
          "page.js",
          "server.js",
          "talk.js",
          "tokens.js",
          "view.js",
          "map.js",
          "table.js",
          "load.js",
          "figures.js",
          "frame.js",
          "colours.js",
          "words.js");

  private static final Map<String, File> FILES = files();

  private Page() {}

  /** A file of the page. */
  record File(String type, String text) {}

  static boolean has(String path) {
    return FILES.containsKey(path);
  }

  static File file(String path) {
    return Objects.requireNonNull(FILES.get(path), path);
  }

  private static Map<String, File> files() {
    Map<String, File> files = new HashMap<>();
    files.put("/", read("page.html"));
    NAMES.forEach(name -> files.put("/page/" + name, read(name)));
    return files;
  }

  private static File read(String name) {
    try (InputStream in = Page.class.getResourceAsStream("page/" + name)) {
      byte[] bytes = Objects.requireNonNull(in, name).readAllBytes();
      return new File(type(name), new String(bytes, StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String type(String name) {
    return switch (name.substring(name.lastIndexOf('.') + 1)) {
      case "html" -> "text/html; charset=utf-8";
      case "css" -> "text/css; charset=utf-8";
      case "svg" -> "image/svg+xml";
      default -> "text/javascript; charset=utf-8";
    };
  }
}

package dev.moxie.runtime.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.Size;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Templates, against what Python's jinja2 makes of them (fixtures/generate/chat_templates.py). */
class ChatTemplateTest {
  private static final ZonedDateTime NOW =
      ZonedDateTime.of(2026, 3, 9, 14, 5, 7, 0, ZoneOffset.UTC);

  static List<JsonNode> probes() throws IOException {
    try (InputStream in = ChatTemplateTest.class.getResourceAsStream("probes.json")) {
      JsonNode all = StrictJson.mapper(false).readTree(Objects.requireNonNull(in).readAllBytes());
      return all.valueStream().toList();
    }
  }

  /** What a template makes; null if it is refused. */
  private static @Nullable String rendered(String template, JsonNode given) {
    try {
      return ChatTemplate.parse("t", template).render((ObjectNode) given, NOW);
    } catch (InvalidInputException | TemplateException e) {
      return null;
    }
  }

  private static ObjectNode nothing() {
    return StrictJson.mapper(false).createObjectNode();
  }

  @ParameterizedTest
  @MethodSource("probes")
  void aTemplateMakesWhatPythonMakesOfIt(JsonNode probe) {
    String template = probe.get("template").stringValue();
    String expected = probe.get("text").isNull() ? null : probe.get("text").stringValue();
    if (expected != null) {
      // Not by the way of null, so that what is wrong is shown.
      ObjectNode given = (ObjectNode) probe.get("given");
      assertEquals(expected, ChatTemplate.parse("t", template).render(given, NOW), template);
    }
    assertEquals(expected, rendered(template, probe.get("given")), template);
  }

  @Test
  void theFixturesTemplatesAreAmongThem() throws IOException {
    List<String> probed =
        probes().stream().map(probe -> probe.get("template").stringValue()).toList();
    try (Stream<Path> templates = Files.list(Fixtures.root().resolve("chat"))) {
      for (Path template : templates.toList()) {
        assertTrue(probed.contains(Files.readString(template)), template + ": record probes again");
      }
    }
  }

  /** Prints where expressions that were drawn at random differ: not run by the build. */
  public static void main(String[] args) throws IOException {
    JsonNode all = StrictJson.mapper(false).readTree(Files.readAllBytes(Path.of(args[0])));
    int differ = 0;
    for (JsonNode probe : all) {
      String template = probe.get("template").stringValue();
      String expected = probe.get("text").isNull() ? null : probe.get("text").stringValue();
      String own = rendered(template, probe.get("given"));
      if (!Objects.equals(expected, own)) {
        differ++;
        System.out.printf("%s%n  jinja2 %s%n  here   %s%n", template, expected, own);
      }
    }
    System.out.printf("%d of %d differ%n", differ, all.size());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "{{ x | urlize }}; line 1; urlize",
        "{{ x is escaped }}; line 1; escaped",
        "{% include 'x' %}; line 1; include",
        "{% extends 'x' %}; line 1; extends",
        "{{ lipsum() }}; line 1; lipsum",
        "{{ 'a'.encode() }}; line 1; encode",
        "{{ x.append(1) }}; line 1; append",
        "{{ f(*x) }}; line 1; *",
        "{% for (a, b), c in d %}{% endfor %}; line 1; (",
        "{% for a, (b, c) in d %}{% endfor %}; line 1; (",
        "{% macro m() %}{{ varargs }}{% endmacro %}; line 1; varargs",
        "{% macro m() %}{{ kwargs.a }}{% endmacro %}; line 1; kwargs",
        "{% for a in b recursive %}{% endfor %}; line 1; recursive"
      })
  void whatIsNotSupportedIsNamedWhenATemplateIsRead(String template, String line, String name) {
    UnsupportedException refusal =
        assertThrows(UnsupportedException.class, () -> ChatTemplate.parse("t", template));
    String message = String.valueOf(refusal.getMessage());
    assertTrue(message.contains(line.strip()) && message.contains(name.strip()), message);
  }

  @Test
  void whatATemplateRaisesIsItsOwnMessage() {
    var template = ChatTemplate.parse("t", "{{ raise_exception('roles ' ~ 1) }}");
    TemplateException raised =
        assertThrows(TemplateException.class, () -> template.render(nothing(), NOW));
    assertEquals("roles 1", raised.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for i in range(100000000) %}{% endfor %}",
        "{% for i in range(5000) %}{% for j in range(5000) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{{ [0] * 1000000000 }}",
        "{% set ns = namespace(x='aaaaaaaaaa') %}{% for i in range(60) %}"
            + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}"
            + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(16) %}"
            + "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}"
            + "{% for i in range(90000) %}{% if ns.x == ns.y %}{% endif %}{% endfor %}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{{ 'a'.replace('', 'b' * 4000000).replace('', 'b' * 4000000) }}",
        "{% set ns = namespace(x=7) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor"
            + " %}",
      })
  void whateverATemplateAsksForItEndsSoonAndSmall(String template) {
    long start = System.nanoTime();
    ChatTemplate parsed = ChatTemplate.parse("t", template);
    assertThrows(TemplateException.class, () -> parsed.render(nothing(), NOW));
    assertTrue(Duration.ofNanos(System.nanoTime() - start).toSeconds() < 30);
  }

  @Test
  void whatLiesTooDeepIsRefused() {
    for (String open : List.of("(", "[", "not ", "-", "{'a': ", "{% if true %}")) {
      String template = (open.startsWith("{%") ? "" : "{{ ") + open.repeat(100_000);
      assertThrows(InvalidInputException.class, () -> ChatTemplate.parse("t", template), open);
    }
    String sum = "{{ 1" + " + 1".repeat(100_000) + " }}";
    ChatTemplate flat = ChatTemplate.parse("t", sum);
    assertThrows(TemplateException.class, () -> flat.render(nothing(), NOW));
  }

  /** Pieces of templates in any order: text, or one of our refusals. */
  @Property(tries = 3000)
  @Tag("fast")
  void nothingElseComesOfAnyText(@ForAll @Size(max = 12) List<Integer> draws) {
    String[] pieces = {
      "{{",
      "}}",
      "{%",
      "%}",
      "{#",
      "#}",
      "-",
      "+",
      " if ",
      " for x in ",
      "endif",
      "endfor",
      "x",
      "'a'",
      "1",
      "(",
      ")",
      "[",
      "]",
      "|",
      "upper",
      ".",
      "set x =",
      "\n",
      " is ",
      "defined",
      "~",
      "{",
      ":",
      "macro f(",
      "raw",
      "endraw",
      " else ",
      "\\",
      "\"",
      "*",
      "/",
      "💥",
      "\0"
    };
    var template = new StringBuilder();
    draws.forEach(draw -> template.append(pieces[Math.floorMod(draw, pieces.length)]));
    rendered(template.toString(), nothing());
  }
}

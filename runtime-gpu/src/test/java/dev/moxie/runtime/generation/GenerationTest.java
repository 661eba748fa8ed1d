package dev.moxie.runtime.generation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GenerationTest {
  @TempDir static Path folder;
  private static MoxiePackage pack;
  private static TextTokenizer tokenizer;

  @BeforeAll
  static void open() {
    pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    tokenizer = TextTokenizer.of(pack);
  }

  @AfterAll
  static void close() {
    tokenizer.close();
    pack.close();
  }

  @Test
  void promptsBecomeTheReferencesTokens() {
    for (Path file : Fixtures.traces(Fixtures.tinyMixtral())) {
      try (Trace trace = Trace.open(file)) {
        assertArrayEquals(trace.inputIds(), tokenizer.encode(trace.metadata().get("prompt")));
      }
    }
  }

  @Test
  void aTextIsItsBeginningAndItsInside() {
    String text = "Once upon a time\n\n  a small owl";
    long[] beginning = tokenizer.beginning();
    long[] inside = tokenizer.encodeInside(text);
    assertArrayEquals(new long[] {1}, beginning);
    long[] joined = Arrays.copyOf(beginning, beginning.length + inside.length);
    System.arraycopy(inside, 0, joined, beginning.length, inside.length);
    assertArrayEquals(tokenizer.encode(text), joined);
  }

  @Test
  void longTextsAreNotCut() {
    String text = "Hana lived in the forest. ".repeat(1000);
    assertEquals(text, tokenizer.decode(tokenizer.encode(text)));
  }

  @Test
  void aCharacterIsShownOnceAllItsBytesAreThere() {
    long[] ids = tokenizer.encode("日本 été 🦉");
    List<String> shown = new ArrayList<>();
    var stream = new TextStream(tokenizer, new long[] {ids[0]}, shown::add);
    for (int i = 1; i < ids.length; i++) {
      stream.accept(ids[i]);
    }
    stream.finish();
    assertEquals("日本 été 🦉", String.join("", shown));
    assertTrue(shown.stream().noneMatch(part -> part.contains("\uFFFD")), shown.toString());
    assertTrue(shown.size() < ids.length, "several tokens make one of these characters");
  }

  @Test
  void stopsAtAnEndTokenAndDoesNotReturnIt() {
    assertEquals(Set.of(2L), EndTokens.of(pack).ids());
    try (Model model = Execution.PLAIN.open(pack, Device.CPU, new Unproven())) {
      long[] prompt = tokenizer.encode("3 + 4 =");
      List<Long> free = Generator.generate(model, prompt, 12, Sampler.GREEDY, Set.of(), id -> {});
      long end = free.get(3);
      List<Long> seen = new ArrayList<>();
      List<Long> stopped =
          Generator.generate(model, prompt, 12, Sampler.GREEDY, Set.of(end), seen::add);
      assertEquals(free.subList(0, free.indexOf(end)), stopped);
      assertEquals(stopped, seen);
      assertFalse(stopped.contains(end));
    }
  }

  @Test
  void aPackageWithoutTokenizerSaysSo() {
    try (MoxiePackage without =
        Packages.convert(Fixtures.randomMixtrals().getFirst(), folder.resolve("q"))) {
      String message =
          assertThrows(UnsupportedException.class, () -> TextTokenizer.of(without)).getMessage();
      assertTrue(message.contains("tokenizer.json"), message);
    }
  }
}

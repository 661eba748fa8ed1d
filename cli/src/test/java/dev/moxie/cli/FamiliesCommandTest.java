package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.family.Evidence;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** What is said of families is what the fixtures show. */
class FamiliesCommandTest {
  private static final Path ROOT = Fixtures.root();

  @TempDir private Path folder;

  @Test
  void everyFamilyHasEvidence() {
    assertEquals(
        Families.ALL.stream().map(Family::name).toList(),
        Evidence.all().stream().map(Evidence::family).toList());
  }

  @Test
  void evidenceIsWhatTheFixturesHold() throws IOException {
    for (Evidence evidence : Evidence.all()) {
      Set<String> checkpoints = new TreeSet<>();
      Set<String> producers = new TreeSet<>();
      Set<String> totals = new TreeSet<>();
      for (Path config : configs()) {
        boolean ours = Families.of(Config.read(config, Set.of())).name().equals(evidence.family());
        Path parent = config.getParent();
        if (ours && parent.endsWith("configs")) {
          totals.add(config.getFileName().toString().replace(".json", ""));
        } else if (ours) {
          checkpoints.add(ROOT.relativize(parent).toString());
          producers.addAll(producers(parent));
        }
      }
      assertEquals(List.copyOf(checkpoints), evidence.checkpoints(), evidence.family());
      assertEquals(List.copyOf(producers), evidence.references(), evidence.family());
      assertEquals(
          List.copyOf(totals),
          Objects.requireNonNullElse(evidence.totals(), List.of()),
          evidence.family());
    }
  }

  private static List<Path> configs() throws IOException {
    try (Stream<Path> files = Files.walk(ROOT, 3)) {
      return files
          .filter(
              file ->
                  file.endsWith("config.json")
                      || (file.getParent().endsWith("configs")
                          && file.toString().endsWith(".json")))
          .filter(file -> !ROOT.relativize(file).startsWith("target"))
          .sorted()
          .toList();
    }
  }

  private static Set<String> producers(Path checkpoint) throws IOException {
    Set<String> producers = new TreeSet<>();
    try (Stream<Path> files = Files.list(checkpoint)) {
      for (Path file : files.filter(f -> f.getFileName().toString().startsWith("trace")).toList()) {
        try (Trace trace = Trace.open(file)) {
          producers.add(trace.metadata().getOrDefault("producer", "").replaceFirst(",.*", ""));
        }
      }
    }
    return producers;
  }

  @Test
  void whatTheFusedGraphDoesNotRunIsNamed() {
    for (Evidence evidence : Evidence.all()) {
      Path checkpoint = ROOT.resolve(evidence.checkpoints().getFirst());
      Path target = folder.resolve(evidence.family());
      assertEquals(
          0, Main.run("convert", checkpoint.toString(), target.toString(), "--mtp", "drop"));
      try (var pack = MoxiePackage.open(target)) {
        Optional<UnsupportedException> refusal = Execution.FUSED.refusal(pack, Device.CPU);
        assertEquals(
            refusal
                .map(e -> String.valueOf(e.getMessage()).replaceFirst(".*, found (.*); .*", "$1"))
                .orElse(null),
            evidence.fused());
      }
    }
  }

  @Test
  void thePageHasTheTables() throws IOException {
    Path page = ROOT.resolveSibling("docs/families.md");
    String text = Files.readString(page);
    String written =
        with(
            with(text, "| family", FamiliesCommand.table(Evidence.all())),
            "| key |",
            KeyTable.markdown());
    if (Boolean.getBoolean("moxie.rewrite")) {
      Files.writeString(page, written);
      return;
    }
    assertEquals(written, text, "write it anew with -Dmoxie.rewrite=true");
  }

  /** The page with another table in the place of the one that begins so. */
  private static String with(String page, String head, String table) {
    int start = page.indexOf(head);
    return page.substring(0, start) + table + page.substring(page.indexOf("\n\n", start));
  }

  @Test
  void aFamilyThatIsNamedShowsItsKeys() {
    var printed = new ByteArrayOutputStream();
    PrintStream out = System.out;
    System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
    try {
      assertEquals(0, Main.run("families", "kimi_k2", "--json"));
      assertEquals(0, Main.run("families", "qwen3_moe"));
    } finally {
      System.setOut(out);
    }
    String text = printed.toString(StandardCharsets.UTF_8);
    int end = text.indexOf("\nqwen3_moe");
    var json =
        StrictJson.parseObject("output", text.substring(0, end).getBytes(StandardCharsets.UTF_8));
    assertEquals("deepseek_v3", json.get("family").stringValue());
    assertEquals(
        List.of("tie_word_embeddings"),
        json.get("keys")
            .valueStream()
            .filter(key -> key.get("meaning").stringValue().contains("the head is the embedding"))
            .flatMap(key -> key.get("names").valueStream())
            .map(JsonNode::stringValue)
            .toList());
    String card = text.substring(end);
    assertTrue(
        card.contains("norm_topk_prob") && card.contains("true or false, false where absent"),
        card);
    assertTrue(card.contains("max_window_layers"), card);
    assertEquals(2, Main.run("families", "nonsense"));
  }
}

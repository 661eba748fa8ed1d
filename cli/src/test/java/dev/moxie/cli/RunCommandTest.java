package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.moxie.cli.CommandLineTest.Outcome;
import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Packages that are well-formed and cannot be run, or not with a text. */
class RunCommandTest {
  @TempDir Path folder;

  static Stream<Path> vectors() throws IOException {
    try (Stream<Path> vectors =
        Files.list(Fixtures.root().resolveSibling("format-spec/conformance/packages/valid"))) {
      return vectors.sorted().toList().stream();
    }
  }

  @ParameterizedTest
  @MethodSource("vectors")
  void aValidPackageRunsOrItIsSaidWhyNot(Path vector) {
    Outcome outcome =
        CommandLineTest.moxie("run", vector.toString(), "--prompt-ids", "1,2", "--max-tokens", "3");
    boolean refused =
        outcome.err().contains("finite in float32")
            || outcome.err().contains("patches of an image");
    assertTrue(
        outcome.status() == 0 || (outcome.status() == 3 && refused),
        outcome.status() + ": " + outcome.err());
  }

  @Test
  void whatIsNoTokenIsSaidWithoutTheNameOfAType() {
    Outcome outcome = CommandLineTest.moxie("run", "p", "--prompt-ids", "1,x");
    assertEquals(2, outcome.status());
    assertTrue(outcome.err().contains("expected numbers with commas"), outcome.err());
  }

  @Test
  void aTokenizerThatContradictsItselfIsNotConverted() throws IOException {
    Path checkpoint =
        checkpointWith(
            "\"id\": \"<s>\",\n          \"type_id\"", "\"id\": \"a\",\n          \"type_id\"");
    Outcome outcome =
        CommandLineTest.moxie("convert", checkpoint.toString(), folder.resolve("p").toString());
    assertEquals(3, outcome.status(), outcome.err());
    assertTrue(
        outcome.err().contains("tokenizer.json, post_processor.single: expected special tokens"),
        outcome.err());
  }

  /** Exponential time in a library that gives up, and the process with it. */
  @Test
  void aTokenizerBeyondThisBuildIsConvertedIfAskedForAndEveryVerbThatNeedsItRefusesIt()
      throws IOException {
    Path checkpoint =
        checkpointWith(
            "\"pre_tokenizer\": {\n    \"type\": \"ByteLevel\",",
            "\"pre_tokenizer\": {\n    \"type\": \"Split\", \"pattern\": {\"Regex\": \"(a+)+$\"},"
                + " \"behavior\": \"Isolated\", \"invert\": false,");
    String pack = folder.resolve("p").toString();
    Outcome refused = CommandLineTest.moxie("convert", checkpoint.toString(), pack);
    assertEquals(3, refused.status(), refused.err());
    assertTrue(refused.err().contains("--token-ids-only"), refused.err());
    assertEquals(
        0,
        CommandLineTest.moxie("convert", checkpoint.toString(), pack, "--token-ids-only").status());
    String text = "a".repeat(40) + "!";
    String baseline = folder.resolve("b").toString();
    for (Outcome outcome :
        new Outcome[] {
          CommandLineTest.moxie("run", pack, "--prompt", text),
          CommandLineTest.moxie("routing", pack, "--prompt", text),
          CommandLineTest.moxie("baseline", "record", pack, baseline, "--prompt", text)
        }) {
      assertEquals(3, outcome.status(), outcome.err());
      assertTrue(outcome.err().contains("pass token ids instead of text"), outcome.err());
    }
    assertEquals(
        0, CommandLineTest.moxie("run", pack, "--prompt-ids", "1,2", "--max-tokens", "1").status());
  }

  @Test
  void thePaceIsSaidLastAndNotAmongTheTokens() {
    String pack = folder.resolve("p").toString();
    String checkpoint = Fixtures.randomMixtrals().getFirst().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack).status());
    String open = "open after \\d+\\.\\d\\d s, first token \\d+\\.\\d\\d s later";
    Outcome one = CommandLineTest.moxie("run", pack, "--prompt-ids", "1,2", "--max-tokens", "1");
    assertTrue(one.err().strip().matches("(?s).*\n" + open), one.err());
    Outcome more = CommandLineTest.moxie("run", pack, "--prompt-ids", "1,2", "--max-tokens", "3");
    assertTrue(
        more.err().strip().matches("(?s).*\n" + open + ", then \\d+\\.\\d tokens/s"), more.err());
    assertTrue(more.out().matches("(\\d+ )+\n"), more.out());
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aModelMayHaveLessMemoryThanItsWeights() throws IOException {
    assumeFalse(Files.getFileStore(folder).type().equals("tmpfs"));
    String pack = folder.resolve("p").toString();
    String checkpoint = Fixtures.tinyMixtral().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack).status());
    Outcome all = CommandLineTest.moxie("run", pack, "--prompt-ids", "1,2", "--max-tokens", "5");
    Outcome some =
        CommandLineTest.moxie(
            "run", pack, "--prompt-ids", "1,2", "--max-tokens", "5", "--memory-budget", "2.5MB");
    assertEquals(0, some.status(), some.err());
    assertEquals(all.out(), some.out());
    assertTrue(
        some.err()
            .strip()
            .matches(
                "(?s).*tokens/s; \\d+ % of the experts' bytes were in memory, \\d+\\.\\d{3} MB read"
                    + " from storage per token"),
        some.err());
    Outcome one =
        CommandLineTest.moxie(
            "run", pack, "--prompt-ids", "1,2", "--max-tokens", "1", "--memory-budget", "2.5MB");
    assertTrue(one.err().strip().matches("(?s).* s later"), one.err());
  }

  @Test
  void aBudgetThatCannotBeKeptIsRefused() {
    String pack = folder.resolve("p").toString();
    String checkpoint = Fixtures.tinyMixtral().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack).status());
    for (String options :
        new String[] {"--memory-budget 1kB", "--memory-budget 5GB --execution fused"}) {
      List<String> words = new ArrayList<>(List.of("run", pack, "--prompt-ids", "1,2"));
      words.addAll(List.of(options.split(" ")));
      Outcome outcome = CommandLineTest.moxie(words.toArray(String[]::new));
      assertEquals(2, outcome.status(), outcome.err());
      assertTrue(outcome.err().contains("--memory-budget: expected "), outcome.err());
    }
  }

  @Test
  void guessesOfTokensAreCountedAndChangeNoText() {
    String pack = folder.resolve("p").toString();
    String checkpoint = Fixtures.tinyDeepSeek().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack, "--mtp", "keep").status());
    String[] run = {"run", pack, "--prompt-ids", "1,2", "--max-tokens", "20"};
    Outcome without = CommandLineTest.moxie(run);
    String[] speculating = Arrays.copyOf(run, run.length + 1);
    speculating[run.length] = "--speculate";
    Outcome with = CommandLineTest.moxie(speculating);
    assertEquals(0, with.status(), with.err());
    assertEquals(without.out(), with.out());
    assertTrue(
        with.err().strip().matches("(?s).* tokens/s; \\d+ of \\d+ guesses right"), with.err());
  }

  @Test
  void guessesThatNothingMakesAreRefused() {
    String pack = folder.resolve("p").toString();
    String checkpoint = Fixtures.tinyMixtral().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack).status());
    for (String options :
        new String[] {
          "--speculate", "--speculate --execution fused", "--speculate --memory-budget 5GB"
        }) {
      List<String> words = new ArrayList<>(List.of("run", pack, "--prompt-ids", "1,2"));
      words.addAll(List.of(options.split(" ")));
      Outcome outcome = CommandLineTest.moxie(words.toArray(String[]::new));
      assertEquals(2, outcome.status(), outcome.err());
      assertTrue(outcome.err().contains("--speculate"), outcome.err());
    }
  }

  private Path checkpointWith(String from, String to) throws IOException {
    Path checkpoint = Files.createDirectory(folder.resolve("c"));
    try (Stream<Path> files = Files.list(Fixtures.tinyMixtral())) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, checkpoint.resolve(file.getFileName()));
      }
    }
    Path tokenizer = checkpoint.resolve("tokenizer.json");
    String text = Files.readString(tokenizer);
    assertTrue(text.contains(from), from);
    Files.writeString(tokenizer, text.replace(from, to));
    return checkpoint;
  }
}

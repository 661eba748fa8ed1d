package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Whoever did not get what was printed must not be told that all is well, or that models differ.
 */
class LostOutputTest {
  private static final String CHECKPOINT = Fixtures.randomMixtrals().getFirst().toString();

  @TempDir static Path folder;
  private static String pack = "";
  private static String baseline = "";
  private static KeyFiles keys = new KeyFiles("", "");

  @BeforeAll
  static void convert() throws IOException, GeneralSecurityException {
    keys = KeyFiles.in(folder);
    pack = path("p");
    baseline = path("baseline.json");
    assertEquals(0, CommandLineTest.moxie("convert", CHECKPOINT, pack).status());
    assertEquals(
        0, CommandLineTest.moxie("baseline", "record", pack, baseline, "--ids", "1,2").status());
  }

  private static String path(String name) {
    return folder.resolve(name).toString();
  }

  /** Every form of every verb that prints something. */
  private List<String> lines() {
    List<String> lines =
        new ArrayList<>(
            List.of(
                "--version",
                "--help",
                "families --markdown",
                "families --json",
                "families mixtral",
                "families mixtral --json",
                "inspect P",
                "inspect P --json",
                "inspect C",
                "inspect C/config.json",
                "convert C new-package",
                "convert C dry --dry-run",
                "convert C dry --dry-run --json",
                "convert C new-merged --adapter A",
                "convert C new-text --towers drop",
                "export P new-checkpoint",
                "reshard P new-layout --expert-parallel 2",
                "sign P --key K --public-key Q --signature new-signature",
                "verify P",
                "verify P --json",
                "verify P --html -",
                "verify P --junit -",
                "verify P --markdown -",
                "verify P --annotations",
                "verify P --source other --json",
                "verify P --source C --adapter A --json",
                "routing P --ids 1,2",
                "routing P --ids 1,2 --json",
                "eval P --ids 1,2,3",
                "eval P --ids 1,2,3 --json",
                "diff P C",
                "diff P C --json",
                "diff C other",
                "baseline record P new-baseline.json --ids 1,2",
                "baseline check P B",
                "baseline check P B --json",
                "run P --prompt-ids 1,2 --max-tokens 2",
                "serve P --port 0",
                "bench convert C here --rounds 1",
                "bench verify P --rounds 1",
                "bench index C P",
                "bench run P --prompt 2 --decode 2 --reps 1",
                "bench run P --prompt 2 --decode 2 --reps 1 --json",
                "demo --home project",
                "synth new-synthetic --mebibytes 1",
                "verify nowhere --json",
                "verify P --nonsense --json"));
    Verbs.all().forEach(verb -> lines.add(verb.words() + " --help"));
    Verbs.all().forEach(verb -> lines.add(verb.words() + " --version"));
    return lines;
  }

  private String[] words(String line) {
    List<String> words = new ArrayList<>();
    for (String word : line.split(" ")) {
      words.add(
          switch (word) {
            case "P" -> pack;
            case "C" -> CHECKPOINT;
            case "C/config.json" -> CHECKPOINT + "/config.json";
            case "A" -> Fixtures.root().resolve("adapters/mixtral").toString();
            case "B" -> baseline;
            case "K" -> keys.key();
            case "Q" -> keys.publicKey();
            case "here" -> folder.toString();
            case "other" -> Fixtures.randomMixtrals().getLast().toString();
            case "project" -> Fixtures.root().getParent().toString();
            default -> word.startsWith("new-") ? path(word) : word;
          });
    }
    return words.toArray(String[]::new);
  }

  @Test
  void everyFormOfEveryVerbEndsWithFourWhereNothingCanBeWritten() {
    for (String line : lines()) {
      CommandLineTest.Outcome outcome = run(new Full(0), words(line));
      assertEquals(4, outcome.status(), line + ": " + outcome.err());
      assertTrue(
          outcome.err().contains("moxie: standard output: expected to write there, found \"No"),
          line + ": " + outcome.err());
    }
  }

  @Test
  void noVerbIsLeftOut() {
    Set<String> untried = new TreeSet<>();
    for (Verbs.Verb verb : Verbs.all()) {
      untried.add(verb.words());
      if (verb.has("--json")) {
        untried.add(verb.words() + " --json");
      }
    }
    for (String line : lines()) {
      untried.removeIf(
          verb -> {
            String words = verb.replace(" --json", "");
            return line.startsWith(words + " ")
                && !line.contains("--help")
                && !line.contains("--version")
                && line.contains("--json") == verb.endsWith("--json");
          });
    }
    assertEquals(Set.of(), untried);
  }

  @Test
  void whatIsCutShortIsLost() {
    String whole = CommandLineTest.moxie("inspect", pack).out();
    int bytes = whole.getBytes(StandardCharsets.UTF_8).length;
    for (int room : new int[] {1, bytes / 2, bytes - 1}) {
      assertEquals(4, run(new Full(room), "inspect", pack).status(), room + " of " + bytes);
    }
    assertEquals(0, run(new Full(bytes), "inspect", pack).status());
  }

  @Test
  void reportFilesAreWrittenEvenThen() throws IOException {
    Path page = folder.resolve("lost.html");
    assertEquals(4, run(new Full(0), "verify", pack, "--html", page.toString()).status());
    assertTrue(Files.size(page) > 1000);
  }

  @Test
  void standardErrorDecidesNothing() {
    PrintStream out = System.out;
    PrintStream err = System.err;
    try {
      System.setOut(new StandardOutput(OutputStream.nullOutputStream()));
      System.setErr(new PrintStream(new Full(0), true, StandardCharsets.UTF_8));
      assertEquals(0, Main.run("convert", CHECKPOINT, path("new-without-progress")));
      assertEquals(2, Main.run("verify", "nowhere"));
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
  }

  private static CommandLineTest.Outcome run(OutputStream to, String... words) {
    PrintStream out = System.out;
    PrintStream err = System.err;
    var captured = new ByteArrayOutputStream();
    try {
      System.setOut(new StandardOutput(to));
      System.setErr(new PrintStream(captured, true, StandardCharsets.UTF_8));
      return new CommandLineTest.Outcome(
          Main.run(words), "", captured.toString(StandardCharsets.UTF_8));
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
  }

  /** Takes some bytes, as a disk does that is about to be full. */
  private static final class Full extends OutputStream {
    private int room;

    private Full(int room) {
      this.room = room;
    }

    @Override
    public void write(int b) throws IOException {
      if (room-- <= 0) {
        throw new IOException("No space left on device");
      }
    }
  }
}

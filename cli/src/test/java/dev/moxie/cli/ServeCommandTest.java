package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ServeCommandTest {
  @TempDir Path folder;

  @Test
  void guessesThatNothingMakesAreRefused() {
    String pack = folder.resolve("p").toString();
    String checkpoint = Fixtures.tinyMixtral().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack).status());
    for (String options : new String[] {"--speculate", "--speculate --memory-budget 5GB"}) {
      List<String> words = new ArrayList<>(List.of("serve", pack, "--port", "0"));
      words.addAll(List.of(options.split(" ")));
      CommandLineTest.Outcome outcome = CommandLineTest.moxie(words.toArray(String[]::new));
      assertEquals(2, outcome.status(), outcome.err());
      assertTrue(outcome.err().contains("--speculate"), outcome.err());
    }
  }
}

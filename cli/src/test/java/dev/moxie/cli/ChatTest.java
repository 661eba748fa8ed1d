package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.cli.CommandLineTest.Outcome;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.generation.TextTokenizer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A conversation, against the same prompts run one by one. */
class ChatTest {
  private static final String TEMPLATE =
      Fixtures.root().resolve("chat/tiny-mixtral.jinja").toString();
  private static final Pattern REUSED =
      Pattern.compile("(\\d+) of the prompt's (\\d+) tokens were computed before, (\\d+) new ones");

  @TempDir static Path folder;
  private static String pack = "";

  @BeforeAll
  static void convert() {
    pack = folder.resolve("p").toString();
    String checkpoint = Fixtures.tinyMixtral().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, pack).status());
  }

  private static Outcome chat(String lines, String... more) {
    return chat(lines.getBytes(StandardCharsets.UTF_8), more);
  }

  private static Outcome chat(byte[] lines, String... more) {
    List<String> words = new ArrayList<>(List.of("run", pack, "--chat", "--max-tokens", "8"));
    words.addAll(List.of(more));
    InputStream in = System.in;
    try {
      System.setIn(new ByteArrayInputStream(lines));
      return CommandLineTest.moxie(words.toArray(String[]::new));
    } finally {
      System.setIn(in);
    }
  }

  /** What comes after a prompt that is run alone. */
  private static String alone(String prompt) {
    try (MoxiePackage opened = MoxiePackage.open(Path.of(pack));
        TextTokenizer tokenizer = TextTokenizer.of(opened)) {
      long[] ids = tokenizer.encodeInside(prompt);
      Outcome outcome =
          CommandLineTest.moxie("run", pack, "--max-tokens", "8", "--prompt-ids", joined(ids));
      assertEquals(0, outcome.status(), outcome.err());
      long[] more =
          Arrays.stream(outcome.out().strip().split(" ")).mapToLong(Long::parseLong).toArray();
      String before = tokenizer.decode(ids);
      long[] all = LongStream.concat(LongStream.of(ids), LongStream.of(more)).toArray();
      return tokenizer.decode(all).substring(before.length());
    }
  }

  private static String joined(long[] ids) {
    return LongStream.of(ids).mapToObj(Long::toString).collect(Collectors.joining(","));
  }

  @Test
  void eachLineIsAnsweredAfterAllThatWasSaidAndNothingIsComputedTwice() {
    Outcome outcome =
        chat("Once upon a time\n\nGröße?\n", "--system", "Be brief.", "--chat-template", TEMPLATE);
    assertEquals(0, outcome.status(), outcome.err());
    String prompt = "<s>Be brief.\n\nOnce upon a time";
    String first = alone(prompt);
    String second = alone(prompt + first + "\n\nGröße?");
    assertEquals(first + "\n" + second + "\n", outcome.out());
    List<int[]> reused = new ArrayList<>();
    for (Matcher said = REUSED.matcher(outcome.err()); said.find(); ) {
      reused.add(new int[] {Integer.parseInt(said.group(1)), Integer.parseInt(said.group(2))});
    }
    assertEquals(2, reused.size(), outcome.err());
    assertEquals(0, reused.get(0)[0]);
    // All of the first prompt is the beginning of the second.
    assertTrue(reused.get(1)[0] >= reused.get(0)[1], outcome.err());
  }

  @Test
  void oneMessageIsAnsweredWithoutReadingAny() {
    Outcome outcome = chat("never read\n", "--prompt", "Tom", "--chat-template", TEMPLATE);
    assertEquals(0, outcome.status(), outcome.err());
    assertEquals(alone("<s>Tom") + "\n", outcome.out());
  }

  @Test
  void sampledAnswersAreTheSameForTheSameSeed() {
    String[] sampled = {
      "--prompt", "Tom", "--chat-template", TEMPLATE, "--temperature", "1.5", "--seed", "3"
    };
    assertEquals(chat("", sampled).out(), chat("", sampled).out());
  }

  @Test
  void whatCannotBeTalkedWithSaysWhatToDo() throws IOException {
    Outcome none = chat("a\n");
    assertEquals(2, none.status(), none.err());
    assertTrue(none.err().contains("pass one as --chat-template FILE"), none.err());
    Path refusing = folder.resolve("refusing.jinja");
    Files.writeString(refusing, "{{ raise_exception('not so') }}");
    Outcome refused = chat("a\n", "--chat-template", refusing.toString());
    assertEquals(3, refused.status(), refused.err());
    assertTrue(refused.err().contains("it says: not so"), refused.err());
    Outcome tooLong = chat("a ".repeat(600) + "\n", "--chat-template", TEMPLATE);
    assertEquals(2, tooLong.status(), tooLong.err());
    assertTrue(tooLong.err().contains("512 positions"), tooLong.err());
    for (String option : List.of("--speculate", "--execution fused", "--device cuda")) {
      Outcome other = chat("a\n", option.split(" "));
      assertEquals(2, other.status(), other.err());
      assertTrue(other.err().contains("--chat: expected the plain execution"), other.err());
    }
    assertEquals(2, chat("a\n", "--prompt-ids", "1,2").status());
    Outcome endless = chat("x".repeat((1 << 20) + 1), "--chat-template", TEMPLATE);
    assertEquals(2, endless.status(), endless.err());
    assertTrue(endless.err().contains("send a shorter message"), endless.err());
    Outcome latin =
        chat("Größe\n".getBytes(StandardCharsets.ISO_8859_1), "--chat-template", TEMPLATE);
    assertEquals(2, latin.status(), latin.err());
    assertTrue(latin.err().contains("expected text in UTF-8"), latin.err());
    Outcome alone = CommandLineTest.moxie("run", pack, "--prompt", "a", "--system", "b");
    assertEquals(2, alone.status(), alone.err());
    assertTrue(alone.err().contains("--system: expected --chat"), alone.err());
    Outcome nothing = CommandLineTest.moxie("run", pack);
    assertEquals(2, nothing.status(), nothing.err());
  }

  @Test
  void aModelWithoutATokenizerIsNamed() {
    String other = folder.resolve("random").toString();
    String checkpoint = Fixtures.randomMixtrals().getFirst().toString();
    assertEquals(0, CommandLineTest.moxie("convert", checkpoint, other).status());
    Outcome outcome = CommandLineTest.moxie("run", other, "--chat", "--prompt", "a");
    assertEquals(3, outcome.status(), outcome.err());
    assertTrue(outcome.err().contains("tokenizer"), outcome.err());
  }
}

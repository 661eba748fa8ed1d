package dev.moxie.verifier.baseline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.TooNewException;
import dev.moxie.format.error.TooOldException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Signature;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.pack.Manifest;
import dev.moxie.runtime.execution.Execution;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BaselineFileTest {
  private static final int WORDS = 7;
  private static final int WIDTH = 3;

  @TempDir Path folder;

  /** Some baseline; numbers are of any size, sign and precision. */
  private static Baseline baseline(long seed, boolean plain) {
    var random = new Random(seed);
    List<Integer> experts = List.of(0, 2 + random.nextInt(5), 4);
    List<Baseline.Sequence> sequences = new ArrayList<>();
    for (int s = 0; s <= random.nextInt(3); s++) {
      int tokens = 1 + random.nextInt(4);
      List<Baseline.Layer> layers = new ArrayList<>();
      for (int e : plain ? experts : List.<Integer>of()) {
        layers.add(
            new Baseline.Layer(
                e == 0 ? null : routing(random, tokens, e), summary(random, tokens, WIDTH)));
      }
      sequences.add(
          new Baseline.Sequence(
              ids(random, tokens), layers, logits(random, tokens), ids(random, s)));
    }
    return new Baseline(
        Baseline.FORMAT,
        Baseline.VERSION,
        new Manifest.Producer("täst \"1\"", "0"),
        random.nextBoolean() ? null : "b",
        new Baseline.Subject("ab".repeat(32), WORDS, WIDTH, experts),
        plain ? Execution.PLAIN : Execution.FUSED,
        sequences);
  }

  private static List<Integer> ids(Random random, int count) {
    return IntStream.range(0, count).mapToObj(i -> random.nextInt(WORDS)).toList();
  }

  private static Baseline.Routing routing(Random random, int tokens, int experts) {
    List<List<Integer>> chosen = new ArrayList<>();
    for (int t = 0; t < tokens; t++) {
      int without = random.nextInt(experts);
      chosen.add(IntStream.range(0, experts).filter(e -> e != without).boxed().toList());
    }
    Baseline.@Nullable Margin margin =
        random.nextBoolean()
            ? null
            : new Baseline.Margin(random.nextInt(tokens), new HexDouble(random.nextDouble()));
    return new Baseline.Routing(chosen, margin, summary(random, tokens, experts));
  }

  private static Baseline.Summary summary(Random random, int rows, int columns) {
    return Summaries.of(matrix(random, rows, columns), columns);
  }

  private static Baseline.Logits logits(Random random, int rows) {
    return Summaries.logits(matrix(random, rows, WORDS), WORDS);
  }

  private static float[] matrix(Random random, int rows, int columns) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      do {
        values[i] = Float.intBitsToFloat(random.nextInt());
      } while (!Float.isFinite(values[i]));
    }
    return values;
  }

  @Property(tries = 300)
  void whatIsWrittenIsReadAndWrittenAlike(@ForAll long seed, @ForAll boolean plain) {
    Baseline baseline = baseline(seed, plain);
    byte[] bytes = BaselineFile.encode(baseline);
    Baseline read = BaselineFile.decode("b.json", bytes);
    assertEquals(baseline, read);
    assertArrayEquals(bytes, BaselineFile.encode(read));
  }

  @Property(tries = 300)
  void aNumberIsReadAsItWasWritten(@ForAll double value) {
    assertEquals(new HexDouble(value), HexDouble.parse(new HexDouble(value).toString()));
  }

  @Property(tries = 300)
  void aFileCutShortIsCorrupt(@ForAll long seed, @ForAll @IntRange(max = 100_000) int kept) {
    byte[] bytes = BaselineFile.encode(baseline(seed, true));
    // The last byte is a line feed, which is missed by nobody.
    byte[] cut = Arrays.copyOf(bytes, kept % (bytes.length - 1));
    assertThrows(CorruptException.class, () -> BaselineFile.decode("b.json", cut));
  }

  @Property(tries = 1000)
  void aChangedByteIsReadOrRefusedInOneSentence(
      @ForAll long seed, @ForAll @IntRange(max = 100_000) int place, @ForAll byte value) {
    byte[] bytes = BaselineFile.encode(baseline(seed, true));
    bytes[place % bytes.length] = value;
    try {
      BaselineFile.decode("b.json", bytes);
    } catch (InvalidInputException e) {
      assertFalse(e.getMessage().contains("\n"), e.getMessage());
      assertTrue(e.getMessage().startsWith("b.json"), e.getMessage());
    }
  }

  /** Each replaces the first occurrence of something in the file by a lie. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"moxie-baseline\"|\"moxie\"|format",
        "\"version\" : 1|\"version\" : \"1\"|version",
        "\"version\" : 1|\"version\" : 1.5|version",
        "\"vocabSize\" : 7|\"vocabSize\" : 2147483648|2147483648",
        "\"vocabSize\" : 7|\"vocabSize\" : 0|vocabSize",
        "\"vocabSize\" : 7|\"vocabSize\" : 1|ids",
        "\"hiddenSize\" : 3|\"hiddenSize\" : -3|hiddenSize",
        "\"experts\" : [ 0,|\"experts\" : [ 1,|routing",
        "\"experts\" : [ 0,|\"experts\" : [ 0, 0,|layers",
        "\"PLAIN\"|\"FUSED\"|layers",
        "\"PLAIN\"|\"MAGIC\"|execution",
        "\"PLAIN\"|0|execution",
        "\"ids\" : [ |\"ids\" : [ -1, |ids",
        "\"ids\" : [ |\"ids\" : [ null, |ids",
        "\"ids\" : [ |\"ids\" : [ 0.5, |ids",
        "\"ids\" : [ |\"ids\" : [ 0, |projections",
        "\"mean\" : \"|\"mean\" : \"NaN|mean",
        "\"mean\" : \"0x|\"mean\" : \"0x0|mean",
        "\"mean\" : \"|\"mean\" : 1, \"x\" : \"|mean",
        "\"peak\" : {|\"peak\" : null, \"x\" : {|peak",
        "'\"token\" : '|'\"token\" : 9'|token",
        "'\"index\" : '|'\"index\" : 9'|index",
        "\"projections\" : [ |\"projections\" : [ [ ], |projections",
        "\"sha256\" : \"|\"sha256\" : \"0|sha256",
        "\"largest\" : [ |\"largest\" : [ [ ], |largest",
        "\"producer\" : {|\"producer\" : {\"colour\" : 1,|colour",
        "\"build\" : |\"build\" : null, \"build\" : |build",
      })
  void aLieIsNamed(String truth, String lie, String named) {
    // A baseline with every part.
    String json = new String(BaselineFile.encode(baseline(3, true)), StandardCharsets.UTF_8);
    assertTrue(json.contains(truth), json);
    byte[] bytes = json.replaceFirst(Pattern.quote(truth), lie).getBytes(StandardCharsets.UTF_8);
    String message =
        assertThrows(CorruptException.class, () -> BaselineFile.decode("b.json", bytes))
            .getMessage();
    assertTrue(message.contains(named), message);
  }

  @Test
  void anotherVersionIsTooOldOrTooNew() {
    String json = new String(BaselineFile.encode(baseline(0, true)), StandardCharsets.UTF_8);
    byte[] old =
        json.replace("\"version\" : 1", "\"version\" : 0").getBytes(StandardCharsets.UTF_8);
    byte[] later =
        json.replace("\"version\" : 1", "\"version\" : 2, \"x\" : 1")
            .getBytes(StandardCharsets.UTF_8);
    assertThrows(TooOldException.class, () -> BaselineFile.decode("b.json", old));
    assertThrows(TooNewException.class, () -> BaselineFile.decode("b.json", later));
  }

  @Test
  void whatTheScheduledExecutionRecordedIsToBeRecordedAgain() {
    String json = new String(BaselineFile.encode(baseline(0, true)), StandardCharsets.UTF_8);
    byte[] scheduled = json.replace("\"PLAIN\"", "\"SCHEDULED\"").getBytes(StandardCharsets.UTF_8);
    String message =
        assertThrows(TooOldException.class, () -> BaselineFile.decode("b.json", scheduled))
            .getMessage();
    assertTrue(message.contains("record it again with moxie baseline record"), message);
  }

  @Test
  void countsBeyondASampleAreRefused() {
    Baseline small = baseline(0, false);
    Baseline.Sequence first = small.sequences().getFirst();
    int rows = BaselineRules.MAX_TOKENS + 1;
    var random = new Random(0);
    var tooLong =
        new Baseline.Sequence(ids(random, rows), List.of(), logits(random, rows), List.of());
    var continued =
        new Baseline.Sequence(first.ids(), List.of(), first.logits(), ids(random, rows - 1));
    for (List<Baseline.Sequence> many :
        List.of(
            List.of(tooLong),
            List.of(continued),
            List.<Baseline.Sequence>of(),
            Collections.nCopies(BaselineRules.MAX_SEQUENCES + 1, first))) {
      var absurd =
          new Baseline(
              small.format(),
              small.version(),
              small.producer(),
              small.build(),
              small.subject(),
              small.execution(),
              many);
      assertThrows(
          CorruptException.class, () -> BaselineFile.decode("b.json", BaselineFile.encode(absurd)));
    }
  }

  @Test
  void aLargeFileIsRefusedUnread() throws IOException {
    Path file = folder.resolve("b.json");
    try (var sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(1L << 40);
    }
    assertThrows(CorruptException.class, () -> BaselineFile.read(file));
    assertThrows(CorruptException.class, () -> BaselineFile.read(folder));
  }

  @Test
  void onlyABaselineIsReplacedAndOnlyOnPurpose() throws IOException {
    Path file = folder.resolve("b.json");
    BaselineFile.requireWritable(file, false);
    BaselineFile.write(file, baseline(0, true));
    assertThrows(UsageException.class, () -> BaselineFile.requireWritable(file, false));
    BaselineFile.requireWritable(file, true);
    try (var files = Files.list(folder)) {
      assertEquals(List.of(file), files.toList(), "nothing is left beside it");
    }
    Files.writeString(file, "{\"notes\": \"mine\"}");
    assertThrows(UsageException.class, () -> BaselineFile.requireWritable(file, true));
    assertThrows(UsageException.class, () -> BaselineFile.requireWritable(folder, true));
    assertThrows(
        UsageException.class,
        () -> BaselineFile.requireWritable(folder.resolve("no/b.json"), true));
  }

  @Test
  void whatSomebodyElseIsWritingIsLeftAlone() throws IOException {
    Path file = folder.resolve("b.json");
    BaselineFile.write(file, baseline(0, true));
    try (StagedFile another = StagedFile.replace(file, Signature.of("{"))) {
      assertThrows(UsageException.class, () -> BaselineFile.write(file, baseline(1, true)));
      another.stream().write(BaselineFile.encode(baseline(2, true)));
      another.finish();
    }
    assertEquals(baseline(2, true), BaselineFile.read(file));
  }

  @Test
  void aLinkStaysALink() throws IOException {
    Path file = folder.resolve("b.json");
    BaselineFile.write(file, baseline(0, true));
    Path link = Files.createSymbolicLink(folder.resolve("link"), file);
    BaselineFile.requireWritable(link, true);
    BaselineFile.write(link, baseline(1, true));
    assertTrue(Files.isSymbolicLink(link));
    assertEquals(baseline(1, true), BaselineFile.read(file));
  }

  @Test
  void whatIsNoNumberIsNotRecordedAndTheFileStays() {
    Path file = folder.resolve("b.json");
    Baseline good = baseline(0, false);
    BaselineFile.write(file, good);
    Baseline.Sequence first = good.sequences().getFirst();
    for (float bad : new float[] {Float.NaN, Float.NEGATIVE_INFINITY}) {
      float[] logits = new float[first.ids().size() * WORDS];
      logits[2] = bad;
      var sequence =
          new Baseline.Sequence(
              first.ids(), List.of(), Summaries.logits(logits, WORDS), first.greedy());
      var broken =
          new Baseline(
              good.format(),
              good.version(),
              good.producer(),
              good.build(),
              good.subject(),
              good.execution(),
              List.of(sequence));
      String message =
          assertThrows(UnsupportedException.class, () -> BaselineFile.write(file, broken))
              .getMessage();
      assertTrue(message.contains("sequence 0, logits [0, 2]"), message);
      assertEquals(good, BaselineFile.read(file));
    }
  }
}

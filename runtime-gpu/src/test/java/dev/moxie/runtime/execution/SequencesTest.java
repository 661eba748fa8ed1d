package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.Sequences.Slice;
import dev.moxie.runtime.plain.Past;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Sequences that step together, against each of them alone: the same bits. */
class SequencesTest {
  private static final float[] NONE = new float[0];

  @TempDir Path folder;

  /** One of every family, and those of windows, chunks and latents that have one more. */
  static Stream<Path> checkpoints() throws IOException {
    try (Stream<Path> families = Files.list(Fixtures.root().resolve("random"))) {
      return Stream.of(
              families.sorted().toList(),
              Fixtures.randomMixtrals(),
              Fixtures.randomDeepSeeks(),
              List.of(Fixtures.shortChunks()))
          .flatMap(List::stream)
          .distinct();
    }
  }

  /** A sequence, what passed through it, and the logits that it gave. */
  private static final class Text {
    final Sequence sequence;
    final List<Long> ids = new ArrayList<>();

    /** By position; null where none were asked for. */
    final List<float[]> logits = new ArrayList<>();

    Text(Sequence sequence) {
      this.sequence = sequence;
    }

    Text fork(int tokens) {
      var fork = new Text(sequence.fork(tokens));
      fork.ids.addAll(ids.subList(0, tokens));
      fork.logits.addAll(logits.subList(0, tokens));
      return fork;
    }

    void requireSameAlone(PlainModel model) {
      if (ids.isEmpty()) {
        return;
      }
      model.begin(ids.size());
      float[] alone = model.append(ids.stream().mapToLong(id -> id).toArray());
      int width = alone.length / ids.size();
      for (int t = 0; t < ids.size(); t++) {
        if (logits.get(t) != null) {
          assertArrayEquals(
              Arrays.copyOfRange(alone, t * width, (t + 1) * width), logits.get(t), "token " + t);
        }
      }
    }
  }

  /** Prompts in pieces beside single tokens, beginnings that are used again, some that leave. */
  @Exhaustive
  @ParameterizedTest
  @MethodSource("checkpoints")
  void noSequenceKnowsWhatElseStepsOrWhereItsBeginningIsFrom(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      var random = new Random(1);
      Sequences sequences = model.sequences(Long.MAX_VALUE);
      List<Text> texts = new ArrayList<>();
      for (int round = 0; round < 16; round++) {
        Text some = texts.isEmpty() ? null : texts.get(random.nextInt(texts.size()));
        if (some == null || texts.size() < 6 && random.nextBoolean()) {
          texts.add(
              some == null || random.nextBoolean()
                  ? new Text(sequences.begin(200))
                  : some.fork(forkable(some.sequence, random)));
        } else if (random.nextInt(8) == 0) {
          some.requireSameAlone(model);
          some.sequence.close();
          texts.remove(some);
        }
        step(pack, sequences, texts, random);
      }
      for (Text text : texts) {
        text.requireSameAlone(model);
        text.sequence.close();
      }
      assertEquals(0, sequences.bytes());
    }
  }

  @Exhaustive
  @ParameterizedTest
  @MethodSource("checkpoints")
  void aGuessThatIsTakenBackLeavesNothingBehind(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      var random = new Random(3);
      int vocabulary = pack.architecture().vocabSize();
      long[] ids = random.longs(40, 0, vocabulary).toArray();
      model.begin(ids.length);
      float[] expected = model.append(ids);
      Sequences sequences = model.sequences(Long.MAX_VALUE);
      Sequence sequence = sequences.begin(ids.length + 1);
      for (int at = 0, some; at < ids.length; at += some) {
        some = Math.min(1 + random.nextInt(3), ids.length - at);
        boolean guess = random.nextBoolean();
        long[] next = Arrays.copyOfRange(ids, at, at + some + (guess ? 1 : 0));
        next[next.length - 1] = guess ? random.nextInt(vocabulary) : next[next.length - 1];
        float[] logits = new float[next.length * vocabulary];
        sequence.guess(guess);
        sequences.step(List.of(new Slice(sequence, next, logits)));
        if (guess) {
          sequence.cut(sequence.length() - 1);
        }
        assertArrayEquals(
            Arrays.copyOfRange(expected, at * vocabulary, (at + some) * vocabulary),
            Arrays.copyOf(logits, some * vocabulary),
            "tokens from " + at + " on");
      }
      assertEquals(ids.length, sequence.length());
    }
  }

  /** Any beginning; where there are states, all or nothing. */
  private static int forkable(Sequence sequence, Random random) {
    int tokens = random.nextInt(sequence.length() + 1);
    return sequence.forkable(random.nextBoolean() ? tokens : sequence.length());
  }

  @Test
  void aBeginningOfWhichNoStateWasKeptIsNoForkAndOneSentenceSaysSo() {
    try (MoxiePackage pack =
            Packages.convert(Fixtures.root().resolve("random/qwen3_next"), folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      Sequences sequences = model.sequences(Long.MAX_VALUE);
      Sequence sequence = sequences.begin(9);
      sequences.step(List.of(new Slice(sequence, new long[5], NONE)));
      assertEquals(5, sequence.forkable(5));
      assertEquals(0, sequence.forkable(4));
      String message =
          assertThrows(IllegalArgumentException.class, () -> sequence.fork(4)).getMessage();
      assertTrue(message.contains("keep one state"), message);
    }
  }

  private static void step(
      MoxiePackage pack, Sequences sequences, List<Text> texts, Random random) {
    int vocabulary = pack.architecture().vocabSize();
    List<Slice> step = new ArrayList<>();
    List<Text> stepping = texts.stream().filter(text -> random.nextInt(4) > 0).toList();
    for (Text text : stepping) {
      long[] ids = new long[random.nextInt(3) > 0 ? 1 : 1 + random.nextInt(40)];
      Arrays.setAll(ids, i -> random.nextInt(vocabulary));
      int wanted = random.nextInt(ids.length + 1);
      step.add(new Slice(text.sequence, ids, new float[wanted * vocabulary]));
    }
    sequences.step(step);
    for (int i = 0; i < step.size(); i++) {
      Slice slice = step.get(i);
      int from = slice.ids().length - slice.logits().length / vocabulary;
      for (int t = 0; t < slice.ids().length; t++) {
        int row = (t - from) * vocabulary;
        stepping.get(i).ids.add(slice.ids()[t]);
        stepping
            .get(i)
            .logits
            .add(t < from ? null : Arrays.copyOfRange(slice.logits(), row, row + vocabulary));
      }
      assertEquals(stepping.get(i).ids.size(), slice.sequence().length());
    }
  }

  @Test
  void aForkSharesItsBeginningAndMemoryComesBackInWhateverOrderTheyEnd() {
    try (MoxiePackage pack =
            Packages.convert(Fixtures.randomMixtrals().getFirst(), folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      Sequences sequences = model.sequences(Long.MAX_VALUE);
      Sequence first = sequences.begin(1000);
      sequences.step(List.of(new Slice(first, new long[3 * Past.BLOCK], NONE)));
      long whole = sequences.bytes();
      Sequence shared = first.fork(3 * Past.BLOCK);
      assertEquals(whole, sequences.bytes());
      Sequence copied = first.fork(Past.BLOCK + 1);
      assertEquals(whole / 3 * 4, sequences.bytes());
      sequences.step(List.of(new Slice(shared, new long[1], NONE)));
      assertEquals(whole / 3 * 5, sequences.bytes());
      first.close();
      first.close();
      assertEquals(whole / 3 * 5, sequences.bytes());
      shared.close();
      assertEquals(whole / 3 * 2, sequences.bytes());
      copied.close();
      assertEquals(0, sequences.bytes());
    }
  }

  @Test
  void aStepBeyondTheMemoryIsRefusedInOneSentenceAndNothingHasHappened() {
    try (MoxiePackage pack =
            Packages.convert(Fixtures.randomMixtrals().getFirst(), folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      Sequences measure = model.sequences(Long.MAX_VALUE);
      measure.step(List.of(new Slice(measure.begin(1), new long[1], NONE)));
      Sequences sequences = model.sequences(3 * measure.bytes() - 1);
      Sequence one = sequences.begin(1000);
      Sequence other = sequences.begin(1000);
      sequences.step(List.of(new Slice(one, new long[Past.BLOCK], NONE)));
      List<Slice> tooMuch =
          List.of(new Slice(one, new long[1], NONE), new Slice(other, new long[1], NONE));
      assertFalse(sequences.fit(tooMuch));
      String message =
          assertThrows(EnvironmentException.class, () -> sequences.step(tooMuch)).getMessage();
      assertTrue(message.endsWith("let a sequence end, or allow more."), message);
      assertEquals(Past.BLOCK, one.length());
      assertEquals(0, other.length());
      assertEquals(measure.bytes(), sequences.bytes());
      sequences.step(List.of(tooMuch.getFirst()));
      assertThrows(EnvironmentException.class, () -> one.fork(1));
      one.close();
      assertTrue(sequences.fit(List.of(tooMuch.getLast())));
    }
  }

  @Test
  void whatCannotBeMeantIsRefusedBeforeAnythingIsComputed() {
    try (MoxiePackage pack =
            Packages.convert(Fixtures.randomMixtrals().getFirst(), folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      Sequences sequences = model.sequences(Long.MAX_VALUE);
      Sequence sequence = sequences.begin(4);
      var good = new Slice(sequence, new long[2], NONE);
      var closed = new Slice(sequences.begin(4), new long[1], NONE);
      closed.sequence().close();
      requireRefused(sequences, good, good);
      requireRefused(sequences, good, new Slice(sequences.begin(4), new long[5], NONE));
      requireRefused(sequences, good, new Slice(sequences.begin(4), new long[] {-1}, NONE));
      requireRefused(sequences, good, new Slice(sequences.begin(4), new long[0], NONE));
      requireRefused(sequences, good, new Slice(sequences.begin(4), new long[1], new float[1]));
      requireRefused(
          sequences, good, new Slice(model.sequences(1 << 20).begin(4), new long[1], NONE));
      assertThrows(IllegalStateException.class, () -> sequences.step(List.of(good, closed)));
      assertThrows(IllegalArgumentException.class, () -> sequence.fork(1));
      assertEquals(0, sequence.length());
      sequences.step(List.of(good));
      assertEquals(2, sequence.length());
    }
  }

  private static void requireRefused(Sequences sequences, Slice... step) {
    assertThrows(IllegalArgumentException.class, () -> sequences.step(List.of(step)));
  }
}

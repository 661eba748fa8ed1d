package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Guesser;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.Sequences.Next;
import dev.moxie.runtime.execution.Sequences.Slice;
import dev.moxie.runtime.plain.Past;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Guesses of sequences that step together: a wrong one would cost time alone, and pass unseen. */
class GuessesTest {
  private static final float[] NONE = new float[0];
  private static final int TOKENS = 2 * Past.BLOCK + 8;

  /** Or more. */
  private static final int VOCABULARY = 96;

  @TempDir Path folder;

  /** A text that is known before it is computed. */
  private record Text(Sequence sequence, long[] ids, int[] guesses) {
    /** Tokens that it begins with as another does. */
    int shared(long[] others) {
      int mismatch = Arrays.mismatch(ids, others);
      return mismatch < 0 ? ids.length : mismatch;
    }
  }

  private static Slice slice(Text text, int count, int wrong, Random random) {
    int from = text.sequence().length();
    long[] ids = Arrays.copyOfRange(text.ids(), from, from + count + wrong);
    for (int i = count; i < ids.length; i++) {
      ids[i] = random.nextInt(VOCABULARY);
    }
    return new Slice(text.sequence(), ids, NONE);
  }

  /** After each token but the last: the guess of the token after the next. */
  private static int[] alone(Sequences sequences, long[] ids) {
    int[] guesses = new int[ids.length - 1];
    try (Sequence sequence = sequences.begin(ids.length)) {
      for (int t = 0; t < guesses.length; t++) {
        var slice = new Slice(sequence, new long[] {ids[t]}, NONE);
        sequences.step(List.of(slice));
        guesses[t] = sequences.guess(List.of(new Next(slice, ids[t + 1], true)))[0];
      }
    }
    return guesses;
  }

  /** Texts that begin alike in fours, of which one is a fork, with wrong guesses taken back. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void guessesAreTheSameWhateverElseStepsAndWhereverABeginningIsFrom(boolean latents) {
    try (MoxiePackage pack = open(latents);
        var model = PlainModel.open(pack, new Unproven())) {
      Sequences sequences = model.guessingSequences(Long.MAX_VALUE);
      var random = new Random(1);
      List<Text> texts = new ArrayList<>();
      int compared = 0;
      int forks = 0;
      for (int round = 0; round < 40; round++) {
        if (texts.size() < 5) {
          long[] ids = new Random(round % 4).longs(TOKENS, 0, VOCABULARY).toArray();
          for (int t = random.nextInt(TOKENS); t < TOKENS; t++) {
            ids[t] = random.nextInt(VOCABULARY);
          }
          Sequence sequence = sequences.begin(TOKENS + 2);
          for (Text other : texts) {
            int forkable = other.sequence().forkable(other.shared(ids));
            if (forkable > sequence.length()) {
              forks++;
              sequence.close();
              sequence = other.sequence().fork(forkable);
            }
          }
          texts.add(new Text(sequence, ids, alone(sequences, ids)));
        }
        List<Slice> step = new ArrayList<>();
        List<Next> after = new ArrayList<>();
        List<Text> stepping = texts.stream().filter(text -> random.nextInt(4) > 0).toList();
        List<Integer> lengths = new ArrayList<>();
        for (Text text : stepping) {
          int left = TOKENS - 1 - text.sequence().length();
          int count = 1 + random.nextInt(Math.min(random.nextBoolean() ? 1 : 12, left));
          step.add(slice(text, count, random.nextInt(3), random));
          lengths.add(text.sequence().length() + count);
        }
        sequences.step(step);
        for (int i = 0; i < step.size(); i++) {
          Text text = stepping.get(i);
          text.sequence().cut(lengths.get(i));
          after.add(new Next(step.get(i), text.ids()[lengths.get(i)], random.nextInt(3) > 0));
        }
        int[] guesses = sequences.guess(after);
        for (int i = 0; i < guesses.length; i++) {
          int expected = stepping.get(i).guesses()[lengths.get(i) - 1];
          assertEquals(after.get(i).guessed() ? expected : -1, guesses[i]);
          compared += after.get(i).guessed() ? 1 : 0;
        }
        for (Text text : stepping) {
          if (text.sequence().length() == TOKENS - 1) {
            text.sequence().close();
            texts.remove(text);
          }
        }
      }
      assertTrue(compared > 60 && forks > 3, compared + " guesses, " + forks + " forks");
      texts.forEach(text -> text.sequence().close());
      assertEquals(0, sequences.bytes());
    }
  }

  @Test
  void whatALayerThatGuessesKeepsIsCounted() {
    try (MoxiePackage pack = open(false);
        var model = PlainModel.open(pack, new Unproven())) {
      Sequences plain = model.sequences(Long.MAX_VALUE);
      plain.step(List.of(new Slice(plain.begin(1), new long[1], NONE)));
      Sequences guessing = model.guessingSequences(Long.MAX_VALUE);
      guessing.step(List.of(new Slice(guessing.begin(1), new long[1], NONE)));
      int layers = pack.architecture().layers().size();
      assertEquals(plain.bytes() / layers * (layers + 1), guessing.bytes());
    }
  }

  @Test
  void whatOthersShareAndWhatWasForeseenIsNotCut() {
    try (MoxiePackage pack = open(false);
        var model = PlainModel.open(pack, new Unproven())) {
      Sequences sequences = model.guessingSequences(Long.MAX_VALUE);
      Sequence sequence = sequences.begin(20);
      var slice = new Slice(sequence, new long[6], NONE);
      sequences.step(List.of(slice));
      assertEquals(0, sequence.forkable(6));
      assertThrows(IllegalArgumentException.class, () -> sequence.fork(1));
      sequences.guess(List.of(new Next(slice, 1, false)));
      assertEquals(6, sequence.forkable(7));
      assertEquals(5, sequence.forkable(6));
      assertThrows(IllegalArgumentException.class, () -> sequence.cut(5));
      Sequence fork = sequence.fork(4);
      assertThrows(IllegalArgumentException.class, () -> fork.cut(3));
      assertThrows(IllegalArgumentException.class, () -> fork.cut(5));
      fork.cut(4);
      Sequences plain = model.sequences(Long.MAX_VALUE);
      Sequence forked = plain.begin(20);
      plain.step(List.of(new Slice(forked, new long[6], NONE)));
      forked.fork(4).close();
      assertThrows(IllegalArgumentException.class, () -> forked.cut(3));
      forked.cut(4);
      assertEquals(4, forked.length());
    }
  }

  @Test
  void aGuessAfterAnythingButTheLastStepIsRefused() {
    try (MoxiePackage pack = open(false);
        var model = PlainModel.open(pack, new Unproven())) {
      Sequences sequences = model.guessingSequences(Long.MAX_VALUE);
      var first = new Slice(sequences.begin(9), new long[2], NONE);
      var second = new Slice(sequences.begin(9), new long[2], NONE);
      sequences.step(List.of(first));
      sequences.step(List.of(second));
      requireRefused(sequences, new Next(first, 1, true));
      requireRefused(sequences, new Next(second, -1, true));
      assertEquals(1, sequences.guess(List.of(new Next(second, 1, true))).length);
      requireRefused(sequences, new Next(second, 1, true));
    }
  }

  private static void requireRefused(Sequences sequences, Next next) {
    assertThrows(IllegalArgumentException.class, () -> sequences.guess(List.of(next)));
  }

  @Test
  void whereLayersKeepAStateAGuessAloneIsTakenBack() {
    Path states = Fixtures.root().resolve("random/qwen3_next");
    try (MoxiePackage pack = Packages.convert(states, folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      Sequences sequences = model.sequences(Long.MAX_VALUE);
      Sequence sequence = sequences.begin(9);
      sequences.step(List.of(new Slice(sequence, new long[5], NONE)));
      assertThrows(IllegalArgumentException.class, () -> sequence.cut(4));
      sequences.step(List.of(new Slice(sequence, new long[3], NONE, Routes.NONE, true)));
      assertThrows(IllegalArgumentException.class, () -> sequence.cut(6));
      sequence.cut(7);
      assertThrows(IllegalArgumentException.class, () -> sequence.cut(6));
      assertThrows(UsageException.class, () -> model.guessingSequences(1));
    }
  }

  private MoxiePackage open(boolean latents) {
    Path checkpoint =
        latents
            ? Fixtures.root().resolve("variants/v3-eight-groups-fp8")
            : Guesser.checkpoint(folder.resolve("c"));
    return Packages.convert(checkpoint, folder.resolve("p"));
  }
}

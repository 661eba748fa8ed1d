package dev.moxie.runtime.serve;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Guesser;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.execution.Routes;
import dev.moxie.runtime.execution.Sequences;
import dev.moxie.runtime.execution.SpeculativeModel;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.runtime.generation.Sampler;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Texts of which tokens are guessed: the same, in fewer steps. */
class GuessedTextsTest {
  private static final long MEMORY = 1L << 30;

  @TempDir Path folder;

  private MoxiePackage open(Path checkpoint) {
    return Packages.convert(checkpoint, folder.resolve("p"));
  }

  private Path guesser() {
    return Guesser.checkpoint(folder.resolve("c"));
  }

  /** With latents, with keys and values, and with states beside these. */
  @ParameterizedTest
  @ValueSource(strings = {"tiny-deepseek-v3-fp8", "guesser", "random/qwen3_5_moe_mtp"})
  void whateverIsGuessedATextIsWhatItIsAlone(String name) throws Exception {
    Path checkpoint = name.equals("guesser") ? guesser() : Fixtures.root().resolve(name);
    try (MoxiePackage pack = open(checkpoint);
        PlainModel model = PlainModel.open(pack, new Unproven())) {
      Scheduler closed = Alone.requireSameAlone(model, model.guessingSequences(MEMORY));
      assertTrue(closed.guesses() > closed.rightGuesses());
      assertTrue(closed.rightGuesses() > 0);
    }
  }

  @Test
  void whereMemoryEndsTextsWaitAndAreTheSame() throws Exception {
    with(
        model -> {
          var all = model.guessingSequences(MEMORY);
          // What one text of the longest takes, and a little more.
          all.step(List.of(new Sequences.Slice(all.begin(63), new long[63], new float[0])));
          Scheduler closed =
              Alone.requireSameAlone(model, model.guessingSequences(all.bytes() * 5 / 4));
          assertTrue(closed.rightGuesses() > 0);
        });
  }

  /** Memory for each of its tokens, and none for a guess of one more. */
  @Test
  void aGuessTakesNoMemoryThatATextNeeds() throws Exception {
    with(
        model -> {
          var all = model.guessingSequences(MEMORY);
          all.step(List.of(new Sequences.Slice(all.begin(32), new long[32], new float[0])));
          var heard = new Heard();
          Scheduler scheduler =
              Alone.scheduler(model, model.guessingSequences(all.bytes()), 1, 1, Alone.NO_METER);
          try (scheduler) {
            scheduler.submit(Alone.job(new long[31], 2, Sampler.GREEDY, heard));
            assertEquals(Job.End.LENGTH, heard.end());
            var more = new Heard();
            scheduler.submit(Alone.job(new long[] {7, 8, 9}, 30, Sampler.GREEDY, more));
            assertEquals(Job.End.LENGTH, more.end());
          }
          assertTrue(scheduler.guesses() > 0);
        });
  }

  private static final class Steps implements Scheduler.Meter {
    int count;

    @Override
    public void stepped(int tokens, long nanoseconds) {
      count++;
    }

    @Override
    public void now(int running, int waiting, long bytes) {}
  }

  @FunctionalInterface
  private interface Use {
    void of(PlainModel model) throws Exception;
  }

  private void with(Use use) throws Exception {
    try (MoxiePackage pack = open(guesser());
        PlainModel model = PlainModel.open(pack, new Unproven())) {
      use.of(model);
    }
  }

  private static Scheduler guessing(PlainModel model) {
    return Alone.scheduler(model, model.guessingSequences(MEMORY), 64, 64, Alone.NO_METER);
  }

  private static long[] prompt() {
    return new Random(1).longs(150, 3, 250).toArray();
  }

  /** Beside {@code run}, which guesses for one text alone and once more, after its last token. */
  @Test
  void guessesAreThoseOfOneTextAlone() throws Exception {
    with(
        model -> {
          List<Long> expected;
          int guesses;
          int right;
          try (SpeculativeModel alone = model.speculative()) {
            expected =
                Generator.generate(alone, prompt(), 100, Sampler.GREEDY, Set.of(), token -> {});
            guesses = alone.guesses();
            right = alone.right();
          }
          var steps = new Steps();
          var heard = new Heard();
          Scheduler scheduler =
              Alone.scheduler(model, model.guessingSequences(MEMORY), 1, 1, steps);
          try (scheduler) {
            scheduler.submit(Alone.job(prompt(), 100, Sampler.GREEDY, heard));
            assertEquals(Job.End.LENGTH, heard.end());
          }
          assertEquals(expected, heard.tokens);
          assertTrue(right > 0 && right < guesses, right + " of " + guesses);
          assertEquals(right, scheduler.rightGuesses());
          // The prompt passes in two, of which the second brings the first token.
          assertEquals(2 + 99 - right, steps.count);
          assertTrue(guesses - scheduler.guesses() <= 1, guesses + ", " + scheduler.guesses());
        });
  }

  /** Wherever that is among guesses that are right and ones that are not. */
  @Test
  void aTextEndsWhereItIsToWhateverHasBeenGuessed() throws Exception {
    with(
        model -> {
          List<Long> whole =
              Generator.generate(model, prompt(), 40, Sampler.GREEDY, Set.of(), token -> {});
          List<Heard> limited = new ArrayList<>();
          List<Heard> stopped = new ArrayList<>();
          Scheduler scheduler = guessing(model);
          try (scheduler) {
            for (int i = 0; i < whole.size(); i++) {
              limited.add(new Heard());
              scheduler.submit(Alone.job(prompt(), i + 1, Sampler.GREEDY, limited.get(i)));
              assertEquals(Job.End.LENGTH, limited.get(i).end());
              stopped.add(new Heard());
              scheduler.submit(
                  new Job(
                      prompt(),
                      whole.size() + 1,
                      Sampler.GREEDY,
                      Set.of(whole.get(i)),
                      -1,
                      Job.Routed.NOTHING,
                      stopped.get(i)));
              assertEquals(Job.End.STOP, stopped.get(i).end());
            }
          }
          for (int i = 0; i < whole.size(); i++) {
            assertEquals(whole.subList(0, i + 1), limited.get(i).tokens);
            assertEquals(whole.subList(0, whole.indexOf(whole.get(i))), stopped.get(i).tokens);
          }
          assertTrue(scheduler.rightGuesses() > whole.size());
        });
  }

  /** But for one token, which the layer that guesses passed with the one after it. */
  @Test
  void whatATextBeganWithIsNotComputedAgainAfterGuessesThatWereTakenBack() throws Exception {
    with(
        model -> {
          List<Long> said = new ArrayList<>();
          Scheduler scheduler = guessing(model);
          try (scheduler) {
            long[] talk = prompt();
            for (int turn = 0; turn < 6; turn++) {
              var heard = new Heard();
              scheduler.submit(Alone.job(talk, 13, Sampler.GREEDY, heard));
              assertEquals(Job.End.LENGTH, heard.end());
              said.addAll(heard.tokens);
              // All of the turn before but its last token, which never passed.
              assertEquals(turn == 0 ? 0 : talk.length - 2, heard.reused);
              talk = more(talk, heard.tokens, turn);
            }
          }
          assertTrue(scheduler.guesses() > scheduler.rightGuesses());
          long[] talk = prompt();
          for (int turn = 0; turn < 6; turn++) {
            List<Long> own = said.subList(13 * turn, 13 * turn + 13);
            assertEquals(
                Generator.generate(model, talk, 13, Sampler.GREEDY, Set.of(), token -> {}), own);
            talk = more(talk, own, turn);
          }
        });
  }

  private static long[] more(long[] talk, List<Long> answer, long question) {
    LongStream said = LongStream.concat(LongStream.of(talk), answer.stream().mapToLong(id -> id));
    return LongStream.concat(said, LongStream.of(question)).toArray();
  }

  private static List<Heard> answers(Scheduler scheduler, Job.Routed routed) throws Exception {
    List<Heard> heard = new ArrayList<>();
    try (scheduler) {
      for (int i = 0; i < 12; i++) {
        var sampler = new Sampler(i % 2, 0, 1, 0, 1 + i % 3 / 10.0, Map.of(100 + i, 2f), i);
        heard.add(new Heard());
        int alternatives = i % 4 - 1;
        scheduler.submit(
            new Job(prompt(), 20, sampler, Set.of(), alternatives, routed, heard.getLast()));
      }
      for (Heard one : heard) {
        assertEquals(Job.End.LENGTH, one.end());
      }
    }
    return heard;
  }

  @Test
  void probabilitiesAndPenaltiesAreTheSame() throws Exception {
    with(
        model -> {
          Scheduler guessing = guessing(model);
          List<Heard> found = answers(guessing, Job.Routed.NOTHING);
          List<Heard> expected =
              answers(
                  Alone.scheduler(model, model.sequences(MEMORY), 64, 64, Alone.NO_METER),
                  Job.Routed.NOTHING);
          for (int i = 0; i < expected.size(); i++) {
            assertEquals(expected.get(i).chosen, found.get(i).chosen);
          }
          assertTrue(guessing.guesses() > 0);
        });
  }

  /** Also where texts begin again, and where beginnings are others'. */
  @ParameterizedTest
  @EnumSource(
      value = Job.Routed.class,
      names = {"EXPERTS", "DECISIONS"})
  void whatIsToldOfExpertsIsTheSame(Job.Routed routed) throws Exception {
    with(
        model -> {
          var all = model.guessingSequences(MEMORY);
          all.step(List.of(new Sequences.Slice(all.begin(170), new long[170], new float[0])));
          List<Heard> expected =
              answers(
                  Alone.scheduler(model, model.sequences(MEMORY), 64, 64, Alone.NO_METER), routed);
          for (long bytes : new long[] {MEMORY, 2 * all.bytes()}) {
            Scheduler guessing =
                Alone.scheduler(model, model.guessingSequences(bytes), 64, 64, Alone.NO_METER);
            List<Heard> found = answers(guessing, routed);
            for (int i = 0; i < expected.size(); i++) {
              assertEquals(expected.get(i).tokens, found.get(i).tokens);
              for (int t = 0; t < expected.get(i).tokens.size(); t++) {
                Routes own = expected.get(i).chosen.get(t).routes();
                Routes told = found.get(i).chosen.get(t).routes();
                assertArrayEquals(own.experts(), told.experts());
                assertArrayEquals(own.weights(), told.weights());
                assertArrayEquals(own.margins(), told.margins());
              }
            }
            assertTrue(guessing.rightGuesses() > 0);
          }
        });
  }

  /** Of 128 tokens 60 are written, so that a prompt has 34 of them beside as many guesses. */
  @Test
  void aPromptHasHalfOfTheRoomThatGuessesWouldTake() throws Exception {
    with(
        model -> {
          var steps = new Steps();
          int[] took = new int[1];
          var prompted =
              new Heard() {
                @Override
                public void begun(int reused) {
                  took[0] -= steps.count;
                  super.begun(reused);
                }

                @Override
                public void token(Job.Chosen chosen) {
                  took[0] += steps.count;
                  super.token(chosen);
                }
              };
          Scheduler scheduler =
              Alone.scheduler(model, model.guessingSequences(MEMORY), 64, 64, steps);
          var last =
              new Heard() {
                @Override
                public void token(Job.Chosen chosen) {
                  super.token(chosen);
                  if (tokens.size() == 2) {
                    scheduler.submit(Alone.job(prompt(), 1, Sampler.GREEDY, prompted));
                  }
                }
              };
          try (scheduler) {
            for (int i = 0; i < 60; i++) {
              Job.Listener listener = i < 59 ? new Heard() : last;
              scheduler.submit(Alone.job(new long[] {3 * i}, 250, Sampler.GREEDY, listener));
            }
            assertEquals(Job.End.LENGTH, prompted.end());
          }
          assertTrue(took[0] <= Math.ceilDiv(prompt().length, 34), took[0] + " steps");
        });
  }
}

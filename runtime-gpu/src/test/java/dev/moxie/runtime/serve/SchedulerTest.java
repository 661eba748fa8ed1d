package dev.moxie.runtime.serve;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.Margin;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.execution.Routes;
import dev.moxie.runtime.execution.Sequences;
import dev.moxie.runtime.generation.Sampler;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Many texts at once, against each of them alone: the same tokens. */
class SchedulerTest {
  private static final long MEMORY = 1L << 30;

  @TempDir Path folder;

  /** With keys and values, with latents, with states of which no beginning is kept, with both. */
  static Stream<Path> checkpoints() {
    return Stream.of(
        Fixtures.tinyMixtral(),
        Fixtures.root().resolve("random/deepseek_v3"),
        Fixtures.root().resolve("random/qwen3_next"),
        Fixtures.root().resolve("random/kimi_linear"));
  }

  private MoxiePackage open(Path checkpoint) {
    return Packages.convert(checkpoint, folder.resolve("p"));
  }

  @Exhaustive
  @ParameterizedTest
  @MethodSource("checkpoints")
  void whateverElseIsWrittenATextIsWhatItIsAlone(Path checkpoint) throws Exception {
    try (MoxiePackage pack = open(checkpoint);
        PlainModel model = PlainModel.open(pack, new Unproven())) {
      Alone.requireSameAlone(model, model.sequences(MEMORY));
    }
  }

  @Exhaustive
  @ParameterizedTest
  @MethodSource("checkpoints")
  void whereMemoryEndsTextsWaitAndAreTheSame(Path checkpoint) throws Exception {
    try (MoxiePackage pack = open(checkpoint);
        PlainModel model = PlainModel.open(pack, new Unproven())) {
      var all = model.sequences(MEMORY);
      // What one text of the longest takes, and a little more.
      var longest = all.begin(63);
      all.step(
          List.of(new Sequences.Slice(longest, Alone.prompt(new Random(1), 63, 96), new float[0])));
      Alone.requireSameAlone(model, model.sequences(all.bytes() * 5 / 4));
    }
  }

  @Test
  void aTextThatMemoryCannotHoldFailsAndOthersGoOn() throws Exception {
    try (MoxiePackage pack = open(Fixtures.tinyMixtral());
        PlainModel model = PlainModel.open(pack, new Unproven())) {
      var sequences = model.sequences(MEMORY);
      sequences.step(
          List.of(new Sequences.Slice(sequences.begin(100), new long[33], new float[0])));
      try (var scheduler =
          Alone.scheduler(model, model.sequences(sequences.bytes()), 4, 10, Alone.NO_METER)) {
        var large = new Heard();
        var small = new Heard();
        scheduler.submit(Alone.job(new long[150], 4, Sampler.GREEDY, large));
        scheduler.submit(Alone.job(new long[] {1, 2, 3}, 4, Sampler.GREEDY, small));
        assertEquals(Job.End.LENGTH, small.end());
        Exception failure = assertThrows(Exception.class, large::end);
        assertTrue(failure.getMessage().contains("memory"), failure.getMessage());
      }
    }
  }

  @Test
  void whatAnotherTextBeganWithIsNotComputedAgain() throws Exception {
    try (MoxiePackage pack = open(Fixtures.tinyMixtral());
        PlainModel model = PlainModel.open(pack, new Unproven());
        var scheduler = Alone.scheduler(model, model.sequences(MEMORY), 4, 10, Alone.NO_METER)) {
      long[] prompt = Alone.prompt(new Random(3), 50, 512);
      var first = new Heard();
      scheduler.submit(Alone.job(prompt, 3, Sampler.GREEDY, first));
      first.end();
      var second = new Heard();
      long[] longer = LongStream.concat(LongStream.of(prompt), LongStream.of(5, 6)).toArray();
      scheduler.submit(Alone.job(longer, 3, Sampler.GREEDY, second));
      second.end();
      assertEquals(0, first.reused);
      assertEquals(50, second.reused);
      // Together, too: the second waits for the first's beginning.
      var third = new Heard();
      var fourth = new Heard();
      long[] other = Alone.prompt(new Random(4), 90, 512);
      scheduler.submit(Alone.job(other, 3, Sampler.GREEDY, third));
      scheduler.submit(Alone.job(other, 3, Sampler.GREEDY, fourth));
      third.end();
      fourth.end();
      assertTrue(third.reused <= 1, "at most the first token may be another's by chance");
      assertEquals(89, fourth.reused, "the last is computed for its logits");
      assertEquals(third.tokens, fourth.tokens);
    }
  }

  @Test
  void aQueueThatIsFullTakesNoMoreAndWhatIsCancelledLeavesNothing() throws Exception {
    int[] now = new int[2];
    var meter =
        new Scheduler.Meter() {
          @Override
          public void stepped(int tokens, long nanoseconds) {}

          @Override
          public synchronized void now(int running, int waiting, long bytes) {
            now[0] = running;
            now[1] = waiting;
          }
        };
    try (MoxiePackage pack = open(Fixtures.tinyMixtral());
        PlainModel model = PlainModel.open(pack, new Unproven());
        var scheduler = Alone.scheduler(model, model.sequences(MEMORY), 1, 2, meter)) {
      List<Heard> heard = new ArrayList<>();
      List<Scheduler.Ticket> tickets = new ArrayList<>();
      int most = (int) Math.min(1000, model.architecture().maxPositions() - 4);
      for (int i = 0; i < 3; i++) {
        var one = new Heard();
        heard.add(one);
        tickets.add(scheduler.submit(Alone.job(new long[] {1, 2, i}, most, Sampler.GREEDY, one)));
        if (i == 0) {
          assertTrue(one.first.await(60, TimeUnit.SECONDS));
        }
      }
      var refused = new Heard();
      assertThrows(
          Busy.class,
          () -> scheduler.submit(Alone.job(new long[] {1}, 1, Sampler.GREEDY, refused)));
      tickets.forEach(Scheduler.Ticket::cancel);
      for (Heard one : heard) {
        assertEquals(Job.End.CANCELLED, one.end());
      }
      var after = new Heard();
      scheduler.submit(Alone.job(new long[] {7}, 2, Sampler.GREEDY, after));
      assertEquals(Job.End.LENGTH, after.end());
      assertEquals(0, now[1]);
    }
  }

  @Test
  void endTokensEndATextAndAreNotTold() throws Exception {
    try (MoxiePackage pack = open(Fixtures.tinyMixtral());
        PlainModel model = PlainModel.open(pack, new Unproven());
        var scheduler = Alone.scheduler(model, model.sequences(MEMORY), 1, 2, Alone.NO_METER)) {
      var whole = new Heard();
      scheduler.submit(Alone.job(new long[] {1, 2, 3}, 8, Sampler.GREEDY, whole));
      whole.end();
      long fourth = whole.tokens.get(3);
      int at = whole.tokens.indexOf(fourth);
      var cut = new Heard();
      scheduler.submit(
          new Job(
              new long[] {1, 2, 3},
              8,
              Sampler.GREEDY,
              Set.of(fourth),
              -1,
              Job.Routed.NOTHING,
              cut));
      assertEquals(Job.End.STOP, cut.end());
      assertEquals(whole.tokens.subList(0, at), cut.tokens);
    }
  }

  @Test
  void probabilitiesAreTheModelsOwnWhateverTheSampling() throws Exception {
    try (MoxiePackage pack = open(Fixtures.tinyMixtral());
        PlainModel model = PlainModel.open(pack, new Unproven());
        var scheduler = Alone.scheduler(model, model.sequences(MEMORY), 1, 2, Alone.NO_METER)) {
      var heard = new Heard();
      long[] prompt = {1, 2, 3};
      var sampler = new Sampler(0, 0, 1, 0, 1.3, Map.of(9, 50f), 1);
      scheduler.submit(new Job(prompt, 2, sampler, Set.of(), 512, Job.Routed.NOTHING, heard));
      heard.end();
      model.begin(8);
      float[] logits = model.next(prompt);
      double sum = 0;
      for (float logit : logits) {
        sum += Math.exp(logit);
      }
      Job.Chosen first = heard.chosen.getFirst();
      assertEquals(9, first.token().id(), "the bias chose it");
      assertEquals(logits[9] - Math.log(sum), first.token().logarithm(), 1e-5);
      double all = first.alternatives().stream().mapToDouble(a -> Math.exp(a.logarithm())).sum();
      assertEquals(1, all, 1e-5);
      assertEquals(Sampler.largest(logits), first.alternatives().getFirst().id());
    }
  }

  /** With so little memory that texts begin again, and with several steps to a prompt. */
  @Test
  void expertsAreThoseOfEveryTokenThatPassed() throws Exception {
    try (MoxiePackage pack = open(Fixtures.root().resolve("random/deepseek_v3"));
        PlainModel model = PlainModel.open(pack, new Unproven())) {
      int layers = model.architecture().layers().size();
      var measure = model.sequences(MEMORY);
      measure.step(List.of(new Sequences.Slice(measure.begin(63), new long[63], new float[0])));
      List<Heard> heard = new ArrayList<>();
      var random = new Random(5);
      List<long[]> prompts = new ArrayList<>();
      try (var scheduler =
          Alone.scheduler(model, model.sequences(measure.bytes() * 2), 5, 10, Alone.NO_METER)) {
        for (int i = 0; i < 5; i++) {
          heard.add(new Heard());
          prompts.add(Alone.prompt(random, 45, model.architecture().vocabSize()));
          scheduler.submit(
              new Job(
                  prompts.get(i),
                  12,
                  Sampler.GREEDY,
                  Set.of(),
                  -1,
                  Job.Routed.EXPERTS,
                  heard.getLast()));
        }
        for (Heard one : heard) {
          assertEquals(Job.End.LENGTH, one.end());
        }
      }
      for (int i = 0; i < prompts.size(); i++) {
        long[] passed =
            LongStream.concat(
                    LongStream.of(prompts.get(i)),
                    heard.get(i).tokens.stream().limit(11).mapToLong(id -> id))
                .toArray();
        int[][] all = new int[layers][];
        model.begin(passed.length);
        model.observe(
            passed,
            (layer, result) -> {
              if (result.mixture() != null) {
                all[layer] =
                    result.mixture().decisions().stream()
                        .flatMapToInt(decision -> IntStream.of(decision.experts()))
                        .toArray();
              }
            });
        int[] told =
            heard.get(i).chosen.stream()
                .flatMapToInt(c -> IntStream.of(c.routes().experts()))
                .toArray();
        int k = told.length / passed.length / layers;
        assertEquals(passed.length * layers * k, told.length);
        for (int t = 0; t < passed.length; t++) {
          for (int layer = 0; layer < layers; layer++) {
            int[] own =
                Arrays.copyOfRange(told, (t * layers + layer) * k, (t * layers + layer + 1) * k);
            int[] expected = new int[k];
            Arrays.fill(expected, -1);
            if (all[layer] != null) {
              expected = Arrays.copyOfRange(all[layer], t * k, (t + 1) * k);
            }
            assertArrayEquals(expected, own, "token " + t + ", layer " + layer);
          }
        }
      }
    }
  }

  /** Also where texts begin again, and where a beginning is another's. */
  @Test
  void decisionsAreThoseOfTheAnswersTokens() throws Exception {
    try (MoxiePackage pack = open(Fixtures.root().resolve("random/deepseek_v3"));
        PlainModel model = PlainModel.open(pack, new Unproven())) {
      var measure = model.sequences(MEMORY);
      measure.step(List.of(new Sequences.Slice(measure.begin(63), new long[63], new float[0])));
      List<Heard> heard = new ArrayList<>();
      long[] prompt = Alone.prompt(new Random(6), 45, model.architecture().vocabSize());
      try (var scheduler =
          Alone.scheduler(model, model.sequences(measure.bytes() * 2), 5, 10, Alone.NO_METER)) {
        for (int i = 0; i < 5; i++) {
          heard.add(new Heard());
          var sampler = new Sampler(1, 0, 1, i);
          scheduler.submit(
              new Job(prompt, 12, sampler, Set.of(), -1, Job.Routed.DECISIONS, heard.getLast()));
        }
        for (Heard one : heard) {
          assertEquals(Job.End.LENGTH, one.end());
        }
      }
      for (Heard one : heard) {
        long[] passed =
            LongStream.concat(
                    LongStream.of(prompt), one.tokens.stream().limit(11).mapToLong(id -> id))
                .toArray();
        var told = Routes.NONE;
        for (int i = 0; i < one.chosen.size(); i++) {
          Routes own = one.chosen.get(i).routes();
          assertEquals(i == 0, own.isEmpty(), "each but the first tells of the one before");
          told = i == 0 ? told : told.plus(own, 1, 0, 1);
        }
        requireDecided(model, passed, prompt.length, told);
      }
    }
  }

  /** That a model alone decides the same about tokens from one on. */
  private static void requireDecided(PlainModel model, long[] passed, int from, Routes told) {
    int layers = model.architecture().layers().size();
    int most = told.experts().length / told.margins().length;
    model.begin(passed.length);
    model.observe(
        passed,
        (layer, result) -> {
          for (int t = from; t < passed.length; t++) {
            int place = (t - from) * layers + layer;
            if (model.architecture().layers().get(layer).feedForward()
                instanceof FeedForward.MixtureOfExperts moe) {
              Layers.Mixture mixture = result.mixture();
              Layers.Decision decision = mixture.decisions().get(t);
              assertArrayEquals(
                  decision.experts(),
                  Arrays.copyOfRange(told.experts(), place * most, (place + 1) * most));
              assertArrayEquals(
                  decision.weights(),
                  Arrays.copyOfRange(told.weights(), place * most, (place + 1) * most));
              assertEquals((float) Margin.of(moe, mixture, t).gap(), told.margins()[place]);
            } else {
              assertEquals(-1, told.experts()[place * most]);
              assertTrue(Float.isNaN(told.margins()[place]));
            }
          }
        });
    assertEquals((passed.length - from) * layers, told.margins().length);
  }

  @Test
  void closingEndsEveryText() throws Exception {
    try (MoxiePackage pack = open(Fixtures.tinyMixtral());
        PlainModel model = PlainModel.open(pack, new Unproven())) {
      var scheduler = Alone.scheduler(model, model.sequences(MEMORY), 1, 5, Alone.NO_METER);
      List<Heard> heard = new ArrayList<>();
      int most = (int) Math.min(1000, model.architecture().maxPositions() - 4);
      for (int i = 0; i < 3; i++) {
        heard.add(new Heard());
        scheduler.submit(Alone.job(new long[] {i}, most, Sampler.GREEDY, heard.getLast()));
      }
      scheduler.close();
      for (Heard one : heard) {
        assertEquals(Job.End.CANCELLED, one.end());
      }
      assertThrows(
          Busy.class,
          () -> scheduler.submit(Alone.job(new long[] {1}, 1, Sampler.GREEDY, new Heard())));
    }
  }
}

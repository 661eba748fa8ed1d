package dev.moxie.runtime.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.execution.Sequences;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.runtime.generation.Sampler;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.LongStream;

/** Texts of a scheduler, which are to be what they are alone. */
public final class Alone {
  private Alone() {}

  static final Scheduler.Meter NO_METER =
      new Scheduler.Meter() {
        @Override
        public void stepped(int tokens, long nanoseconds) {}

        @Override
        public void now(int running, int waiting, long bytes) {}
      };

  /** Of a model, with as many texts at once and as many that wait. */
  public static Scheduler scheduler(
      PlainModel model,
      Sequences sequences,
      int mostRunning,
      int mostWaiting,
      Scheduler.Meter meter) {
    return new Scheduler(
        sequences,
        model.architecture().vocabSize(),
        model.architecture().maxPositions(),
        mostRunning,
        mostWaiting,
        meter);
  }

  static Job job(long[] prompt, int limit, Sampler sampler, Job.Listener listener) {
    return new Job(prompt, limit, sampler, Set.of(), -1, Job.Routed.NOTHING, listener);
  }

  static long[] prompt(Random random, int length, int vocabulary) {
    return LongStream.generate(() -> random.nextInt(vocabulary)).limit(length).toArray();
  }

  /**
   * Texts of random lengths, half of which begin alike, some drawn; with more of them than may be
   * written at once.
   *
   * @return what wrote them, closed
   */
  static Scheduler requireSameAlone(PlainModel model, Sequences sequences) throws Exception {
    int vocabulary = model.architecture().vocabSize();
    var random = new Random(7);
    long[] beginning = prompt(random, 25, vocabulary);
    List<Job> jobs = new ArrayList<>();
    List<Heard> heard = new ArrayList<>();
    for (int i = 0; i < 24; i++) {
      long[] own = prompt(random, 1 + random.nextInt(25), vocabulary);
      long[] prompt =
          i % 2 == 0
              ? own
              : LongStream.concat(
                      LongStream.of(beginning).limit(1 + random.nextInt(25)), LongStream.of(own))
                  .toArray();
      var listener = new Heard();
      heard.add(listener);
      Sampler sampler = i % 3 == 0 ? new Sampler(0.9, 20, 0.9, i) : Sampler.GREEDY;
      jobs.add(job(prompt, 1 + random.nextInt(13), sampler, listener));
    }
    Scheduler closed;
    try (var scheduler = scheduler(model, sequences, 7, 100, NO_METER)) {
      closed = scheduler;
      for (Job job : jobs) {
        scheduler.submit(job);
      }
      for (Heard one : heard) {
        assertEquals(Job.End.LENGTH, one.end());
      }
    }
    for (int i = 0; i < jobs.size(); i++) {
      Job job = jobs.get(i);
      List<Long> alone =
          Generator.generate(
              model, job.prompt(), job.limit(), job.sampler(), Set.of(), token -> {});
      assertEquals(alone, heard.get(i).tokens, "text " + i);
    }
    return closed;
  }
}

package dev.moxie.runtime.serve;

import dev.moxie.format.error.MoxieException;
import dev.moxie.runtime.execution.Routes;
import dev.moxie.runtime.execution.Sequence;
import dev.moxie.runtime.execution.Sequences;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** A text that is being written: for the scheduler's thread, but for {@link #cancel}. */
final class Text implements Scheduler.Ticket {
  static final float[] NO_LOGITS = new float[0];

  private final Job job;
  private final SplittableRandom random;
  private final BitSet seen = new BitSet();
  private long[] tokens;
  private int length;
  private float[] logits = NO_LOGITS;

  /** What is told of the tokens that passed since one was chosen. */
  private Routes routes = Routes.NONE;

  /** Tokens, from the first one on, of which that was told, or nobody asks. */
  private int told;
  private @Nullable Sequence sequence;
  private boolean begun;
  private volatile boolean cancelled;

  Text(Job job) {
    this.job = job;
    random = job.sampler().random();
    tokens = job.prompt().clone();
    length = tokens.length;
    told = job.routed() == Job.Routed.EXPERTS ? 0 : length;
    for (long id : tokens) {
      seen.set((int) id);
    }
  }

  @Override
  public void cancel() {
    cancelled = true;
  }

  boolean isCancelled() {
    return cancelled;
  }

  Job job() {
    return job;
  }

  /** Its tokens so far, those of the prompt first. */
  long[] tokens() {
    return Arrays.copyOf(tokens, length);
  }

  /** How many of its first tokens are another text's, too. */
  int shared(long[] others) {
    int most = Math.min(length, others.length);
    int mismatch = Arrays.mismatch(tokens, 0, most, others, 0, most);
    return mismatch < 0 ? most : mismatch;
  }

  Sequence sequence() {
    return Objects.requireNonNull(sequence);
  }

  /** Begins, or begins again after its memory was taken for another. */
  void begin(Sequence own) {
    sequence = own;
    if (!begun) {
      begun = true;
      job.listener().begun(own.length());
    }
  }

  /** Gives up what was computed; the tokens stay. */
  void pause() {
    sequence().close();
    sequence = null;
  }

  /** Tokens that must pass before the next can be chosen. */
  int left() {
    return length - sequence().length();
  }

  /** The next of those tokens. */
  long[] next(int count) {
    int from = sequence().length();
    return Arrays.copyOfRange(tokens, from, from + count);
  }

  /** Room for what routers decide about its next tokens, if anybody asks. */
  Routes routes(int count, Sequences sequences) {
    return job.routed() == Job.Routed.NOTHING || sequence().length() + count <= told
        ? Routes.NONE
        : sequences.routes(count, job.routed() == Job.Routed.DECISIONS);
  }

  /** Takes in what a step made of its tokens. */
  void passed(int count, Routes decided) {
    if (!decided.isEmpty()) {
      // Tokens that pass again, after its memory was taken, are known.
      int known = Math.max(0, told - (sequence().length() - count));
      routes = routes.plus(decided, count, known);
      told = sequence().length();
    }
  }

  /** Room for the logits after its last token. */
  float[] logits(int vocabulary) {
    if (logits.length == 0) {
      logits = new float[vocabulary];
    }
    return logits;
  }

  /**
   * Chooses the next token.
   *
   * @return why the text ends; null if it goes on
   */
  Job.@Nullable End choose() {
    float[] own = job.alternatives() < 0 ? NO_LOGITS : logits.clone();
    job.sampler().adjust(logits, seen);
    int id = job.sampler().choose(logits, random);
    if (job.end().contains((long) id)) {
      return Job.End.STOP;
    }
    tokens = length < tokens.length ? tokens : Arrays.copyOf(tokens, 2 * length);
    tokens[length++] = id;
    seen.set(id);
    job.listener()
        .token(
            own.length == 0
                ? new Job.Chosen(new Job.Likelihood(id, 0), List.of(), routes)
                : Likelihoods.of(own, id, job.alternatives(), routes));
    routes = Routes.NONE;
    return length - job.prompt().length == job.limit() ? Job.End.LENGTH : null;
  }

  void end(Job.End how) {
    job.listener().ended(how);
  }

  void fail(MoxieException failure) {
    job.listener().failed(failure);
  }
}

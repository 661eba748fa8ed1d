package dev.moxie.runtime.serve;

import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UnsupportedException;
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

  /** The first {@link #length} of these; what follows them is no part of the text yet. */
  private long[] tokens;

  private int length;

  /** Whether what follows them was guessed. */
  private boolean guessed;

  private boolean right;
  private float[] logits = NO_LOGITS;

  /** Logits after its last token and after the guess that follows it. */
  private float[] both = NO_LOGITS;

  /** What is told of the tokens that passed since one was chosen. */
  private Routes routes = Routes.NONE;

  /** What is told of a guess that has passed, once it is right. */
  private Routes routesOfGuess = Routes.NONE;

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

  /** Whether what was computed is there. */
  boolean isComputed() {
    return sequence != null;
  }

  /** Gives up what was computed; the tokens stay. */
  void pause() {
    sequence().close();
    sequence = null;
    guessed = false;
  }

  /** Tokens that must pass before the next can be chosen; −1 where its guess has passed, too. */
  int left() {
    return length - sequence().length();
  }

  /** Whether a guess may spare it a step. */
  boolean wantsGuess() {
    return left() == 1 && length - job.prompt().length + 2 <= job.limit();
  }

  /** Takes a guess of the token after its last one. */
  void guess(int id) {
    follow(id);
    guessed = true;
  }

  boolean isGuessed() {
    return guessed;
  }

  void forgetGuess() {
    guessed = false;
  }

  /** Whether the guess that passed with the last step was what was chosen. */
  boolean wasRight() {
    return right;
  }

  /** The token after those that have passed, be it in the text or what ended it. */
  long following() {
    return tokens[sequence().length()];
  }

  private void follow(int id) {
    tokens = length < tokens.length ? tokens : Arrays.copyOf(tokens, 2 * length);
    tokens[length] = id;
  }

  /** The next of those tokens; one more than there are takes the guess as well. */
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
      int own = count + Math.min(0, left());
      routes = routes.plus(decided, count, known, own);
      routesOfGuess = Routes.NONE.plus(decided, count, own, count);
      told = sequence().length() - count + own;
    }
  }

  /** Room for the logits after the last of its next tokens; for none where more are left. */
  float[] logits(int count, int vocabulary) {
    if (count < left()) {
      return NO_LOGITS;
    }
    if (logits.length == 0) {
      logits = new float[vocabulary];
    }
    if (count == left()) {
      return logits;
    }
    if (both.length == 0) {
      both = new float[Math.multiplyExact(2, vocabulary)];
    }
    return both;
  }

  /**
   * Chooses the next token and, where that was guessed and has passed, the one after it.
   *
   * @return why the text ends; null if it goes on
   * @throws UnsupportedException if logits are no numbers
   */
  Job.@Nullable End choose() {
    guessed = false;
    right = false;
    if (left() == 0) {
      return chooseOne();
    }
    int before = length;
    long guess = tokens[before];
    System.arraycopy(both, 0, logits, 0, logits.length);
    Job.End end = chooseOne();
    right = tokens[before] == guess;
    if (!right || end != null) {
      sequence().cut(before);
      return end;
    }
    System.arraycopy(both, logits.length, logits, 0, logits.length);
    routes = routesOfGuess;
    told = length;
    return chooseOne();
  }

  private Job.@Nullable End chooseOne() {
    for (float logit : logits) {
      if (!Float.isFinite(logit)) {
        throw new UnsupportedException(
            "the text, after " + length + " tokens",
            "logits that are finite numbers",
            String.valueOf(logit),
            "these weights compute nothing here");
      }
    }
    float[] own = job.alternatives() < 0 ? NO_LOGITS : logits.clone();
    job.sampler().adjust(logits, seen);
    int id = job.sampler().choose(logits, random);
    follow(id);
    if (job.end().contains((long) id)) {
      return Job.End.STOP;
    }
    length++;
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

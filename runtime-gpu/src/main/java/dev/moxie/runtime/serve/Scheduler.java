package dev.moxie.runtime.serve;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.runtime.execution.ExpertLoad;
import dev.moxie.runtime.execution.Routes;
import dev.moxie.runtime.execution.Sequence;
import dev.moxie.runtime.execution.Sequences;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Writes many texts at once: in each step every text that is being written gets its next token, and
 * what room is left goes to the beginnings of others in equal parts, so that neither waits for the
 * other (Yu et al., "Orca: A Distributed Serving System for Transformer-Based Generative Models",
 * 2022; Agrawal et al., "Taming Throughput-Latency Tradeoff in LLM Inference with Sarathi-Serve",
 * 2024). Texts begin in the order in which they came. One that begins as another does is not
 * computed twice; where memory ends, beginnings are forgotten, then the text that came last waits
 * again.
 */
public final class Scheduler implements AutoCloseable {
  /** Tokens of a step: as many as pass through the layers together. */
  private static final int TOKENS = 128;

  /** Texts that ended which are kept for others to begin with. */
  private static final int KEPT = 32;

  private final Sequences sequences;
  private final int vocabulary;
  private final int capacity;
  private final int mostRunning;
  private final int mostWaiting;
  private final Meter meter;
  private final Thread thread;

  /** Of the scheduler's thread alone. */
  private final List<Text> running = new ArrayList<>();

  private final Beginnings beginnings = new Beginnings(KEPT);
  private long guesses;
  private long right;

  private final Object lock = new Object();
  private final Deque<Text> waiting = new ArrayDeque<>();
  private boolean closed;

  /** Is told what goes on, on the scheduler's thread. */
  public interface Meter {
    /**
     * A step ended.
     *
     * @param tokens that passed
     */
    void stepped(int tokens, long nanoseconds);

    /**
     * How it is after a step.
     *
     * @param bytes that are kept of tokens
     */
    void now(int running, int waiting, long bytes);
  }

  /** A text that was taken in. */
  public interface Ticket {
    /** Lets it end as soon as may be; its listener is told. */
    void cancel();
  }

  /**
   * Begins to take texts in.
   *
   * @param sequences of nobody else
   * @param vocabulary tokens of the model
   * @param positions of the model
   * @param mostRunning texts that are written at once
   * @param mostWaiting texts that wait besides
   */
  public Scheduler(
      Sequences sequences,
      int vocabulary,
      long positions,
      int mostRunning,
      int mostWaiting,
      Meter meter) {
    this.sequences = sequences;
    this.vocabulary = vocabulary;
    this.capacity = (int) Math.min(positions, Integer.MAX_VALUE);
    this.mostRunning = mostRunning;
    this.mostWaiting = mostWaiting;
    this.meter = meter;
    thread = Thread.ofPlatform().name("moxie-scheduler").daemon().start(this::work);
  }

  /** What tokens have chosen so far. */
  public ExpertLoad load() {
    return sequences.load();
  }

  /** Experts of a token that are told of each layer. */
  public int expertsPerLayer() {
    return sequences.expertsPerLayer();
  }

  /** Tokens that were guessed before they were chosen or not, for the scheduler's thread. */
  public long guesses() {
    return guesses;
  }

  /** Guesses that were chosen, for the scheduler's thread. */
  public long rightGuesses() {
    return right;
  }

  /**
   * Takes a text in.
   *
   * @throws Busy if as many wait as may
   * @throws IllegalArgumentException if the model has not as many positions, or such tokens
   */
  public Ticket submit(Job job) {
    requireFit(job);
    var text = new Text(job);
    synchronized (lock) {
      if (waiting.size() >= mostWaiting || closed) {
        throw new Busy(waiting.size());
      }
      waiting.addLast(text);
      lock.notifyAll();
    }
    return text;
  }

  private void requireFit(Job job) {
    for (long id : job.prompt()) {
      if (id < 0 || id >= vocabulary) {
        throw new IllegalArgumentException("token " + id + " of " + vocabulary);
      }
    }
    if (job.prompt().length == 0
        || job.limit() < 1
        || (long) job.prompt().length + job.limit() > capacity) {
      throw new IllegalArgumentException(
          "%d tokens and %d new ones at %d positions"
              .formatted(job.prompt().length, job.limit(), capacity));
    }
  }

  private void work() {
    while (awaitWork()) {
      try {
        round();
      } catch (RuntimeException | Error e) {
        // Whatever it is, others must not wait for a thread that is gone.
        var failure =
            new EnvironmentException(
                "the model", "a step of all texts to end", e.toString(), "start the server again");
        List.copyOf(running).forEach(text -> fail(text, failure));
      }
    }
    for (Text text : running) {
      text.end(Job.End.CANCELLED);
    }
  }

  private void round() {
    endCancelled();
    admit();
    List<Text> stepping = new ArrayList<>();
    List<Sequences.Slice> step = plan(stepping);
    if (!step.isEmpty()) {
      step(stepping, step);
    }
    meter.now(running.size(), waitingNow(), sequences.bytes());
  }

  private int waitingNow() {
    synchronized (lock) {
      return waiting.size();
    }
  }

  /** Waits until there is something to do; false once closed. */
  private boolean awaitWork() {
    synchronized (lock) {
      while (!closed && running.isEmpty() && waiting.isEmpty()) {
        try {
          lock.wait();
        } catch (InterruptedException e) {
          closed = true;
        }
      }
      return !closed;
    }
  }

  /** Lets texts begin, in the order in which they came. */
  private void admit() {
    while (running.size() < mostRunning) {
      Text text;
      synchronized (lock) {
        text = waiting.peekFirst();
        if (text == null || awaitsItsBeginning(text)) {
          return;
        }
        waiting.removeFirst();
      }
      boolean whole = text.job().routed() == Job.Routed.EXPERTS;
      text.begin(whole ? sequences.begin(capacity) : sequence(text.tokens()));
      running.add(text);
    }
  }

  private static boolean endIfCancelled(Text text) {
    if (text.isCancelled()) {
      text.end(Job.End.CANCELLED);
    }
    return text.isCancelled();
  }

  /** Whether another is about to compute more of what it begins with than has been computed. */
  private boolean awaitsItsBeginning(Text text) {
    if (text.job().routed() == Job.Routed.EXPERTS || sequences.haveStates()) {
      return false;
    }
    long[] tokens = text.tokens();
    return running.stream()
        .anyMatch(
            other -> Math.min(other.shared(tokens), tokens.length - 1) > other.sequence().length());
  }

  /** What a text begins with, of which all but its last token may have been computed. */
  private Sequence sequence(long[] tokens) {
    Text best = null;
    int shared = 0;
    for (Text other : running) {
      int own = other.sequence().forkable(Math.min(other.shared(tokens), tokens.length - 1));
      if (own > shared) {
        best = other;
        shared = own;
      }
    }
    try {
      Sequence kept = beginnings.fork(tokens, tokens.length - 1, shared);
      if (kept != null) {
        return kept;
      }
      if (best != null) {
        return best.sequence().fork(shared);
      }
    } catch (EnvironmentException e) {
      // There is no memory for the fork's own state; the text is computed from its first token.
    }
    return sequences.begin(capacity);
  }

  private void endCancelled() {
    synchronized (lock) {
      waiting.removeIf(Scheduler::endIfCancelled);
    }
    for (Iterator<Text> all = running.iterator(); all.hasNext(); ) {
      Text text = all.next();
      if (text.isCancelled()) {
        all.remove();
        leave(text);
        text.end(Job.End.CANCELLED);
      }
    }
  }

  /** Keeps what was computed of a text. */
  private void leave(Text text) {
    beginnings.keep(text.tokens(), text.sequence());
  }

  /** What steps next; fewer texts where memory ends. */
  private List<Sequences.Slice> plan(List<Text> stepping) {
    while (!running.isEmpty()) {
      stepping.clear();
      List<Sequences.Slice> step = slices(stepping);
      if (sequences.fit(step)) {
        return step;
      }
      if (!beginnings.forget() && !forgetGuesses()) {
        Text last = running.removeLast();
        last.pause();
        if (running.isEmpty()) {
          last.fail(noMemory(last));
        } else {
          synchronized (lock) {
            waiting.addFirst(last);
          }
        }
      }
    }
    return List.of();
  }

  /** A guess takes memory that the texts may do without. */
  private boolean forgetGuesses() {
    boolean any = running.stream().anyMatch(Text::isGuessed);
    running.forEach(Text::forgetGuess);
    return any;
  }

  private static MoxieException noMemory(Text text) {
    return new EnvironmentException(
        "the text",
        "memory for what the model keeps of its tokens",
        "less than " + text.tokens().length + " tokens take",
        "send a shorter one, or start the server with a larger --cache");
  }

  private List<Sequences.Slice> slices(List<Text> stepping) {
    List<Sequences.Slice> step = new ArrayList<>();
    int room = TOKENS;
    int beginning = 0;
    int guessed = 0;
    for (Text text : running) {
      if (text.left() == 1) {
        room--;
        guessed += text.isGuessed() ? 1 : 0;
      } else {
        beginning++;
      }
    }
    // Guesses leave half of the room to those that begin.
    guessed = Math.clamp(beginning == 0 ? room : room / 2, 0, guessed);
    room -= guessed;
    for (Text text : running) {
      int count = text.left();
      if (count > 1) {
        // However many texts are written, those that begin get on.
        count = Math.min(count, Math.max(1, room / beginning));
        room -= count;
        beginning--;
      } else if (text.isGuessed() && guessed > 0) {
        count++;
        guessed--;
      }
      float[] logits = text.logits(count, vocabulary);
      stepping.add(text);
      Routes routes = text.routes(count, sequences);
      boolean guess = count > text.left();
      step.add(new Sequences.Slice(text.sequence(), text.next(count), logits, routes, guess));
    }
    return step;
  }

  private void step(List<Text> stepping, List<Sequences.Slice> step) {
    try {
      long start = System.nanoTime();
      sequences.step(step);
      meter.stepped(step.stream().mapToInt(s -> s.ids().length).sum(), System.nanoTime() - start);
    } catch (MoxieException e) {
      stepping.forEach(text -> fail(text, e));
      return;
    }
    List<Text> ended = new ArrayList<>();
    try {
      for (int i = 0; i < step.size(); i++) {
        Text text = stepping.get(i);
        text.passed(step.get(i).ids().length, step.get(i).routes());
        if (text.left() <= 0 && choose(text)) {
          ended.add(text);
        }
      }
      if (sequences.canGuess()) {
        guess(stepping, step);
      }
    } finally {
      ended.forEach(this::leave);
    }
  }

  /** Has a text go on; true if it has ended. */
  private boolean choose(Text text) {
    boolean guessed = text.left() < 0;
    Job.@Nullable End end;
    try {
      end = text.choose();
    } catch (UnsupportedException e) {
      fail(text, e);
      return false;
    }
    guesses += guessed ? 1 : 0;
    right += text.wasRight() ? 1 : 0;
    if (end != null) {
      running.remove(text);
      text.end(end);
    }
    return end != null;
  }

  /** Has the layer that guesses pass what was computed, of texts that ended, too. */
  private void guess(List<Text> stepping, List<Sequences.Slice> step) {
    List<Text> guessing = new ArrayList<>();
    List<Sequences.Next> after = new ArrayList<>();
    for (int i = 0; i < step.size(); i++) {
      Text text = stepping.get(i);
      if (text.isComputed()) {
        guessing.add(text);
        after.add(new Sequences.Next(step.get(i), text.following(), text.wantsGuess()));
      }
    }
    int[] guessed;
    try {
      guessed = sequences.guess(after);
    } catch (MoxieException e) {
      guessing.stream().filter(running::contains).forEach(text -> fail(text, e));
      return;
    }
    for (int i = 0; i < guessed.length; i++) {
      if (after.get(i).guessed()) {
        guessing.get(i).guess(guessed[i]);
      }
    }
  }

  private void fail(Text text, MoxieException failure) {
    running.remove(text);
    text.pause();
    text.fail(failure);
  }

  /** Ends every text and waits for that. */
  @Override
  public void close() {
    synchronized (lock) {
      closed = true;
      lock.notifyAll();
    }
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    synchronized (lock) {
      waiting.forEach(text -> text.end(Job.End.CANCELLED));
      waiting.clear();
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}

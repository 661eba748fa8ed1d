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
    if (text.job().routed() == Job.Routed.EXPERTS) {
      return false;
    }
    long[] tokens = text.tokens();
    for (Text other : running) {
      int shared = Math.min(other.shared(tokens), tokens.length - 1);
      if (shared > other.sequence().length() && other.sequence().forkable(shared) == shared) {
        return true;
      }
    }
    return false;
  }

  /** What a text begins with, of which all but its last token may have been computed. */
  private Sequence sequence(long[] tokens) {
    Text best = null;
    int shared = 0;
    for (Text other : running) {
      int own = Math.min(other.shared(tokens), other.sequence().length());
      own = other.sequence().forkable(Math.min(own, tokens.length - 1));
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
      if (!beginnings.forget()) {
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
    for (Text text : running) {
      if (text.left() == 1) {
        room--;
      } else {
        beginning++;
      }
    }
    for (Text text : running) {
      int count = text.left();
      if (count > 1) {
        // However many texts are written, those that begin get on.
        count = Math.min(count, Math.max(1, room / beginning));
        room -= count;
        beginning--;
      }
      float[] logits = count == text.left() ? text.logits(vocabulary) : Text.NO_LOGITS;
      stepping.add(text);
      Routes routes = text.routes(count, sequences);
      step.add(new Sequences.Slice(text.sequence(), text.next(count), logits, routes));
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
    for (int i = 0; i < step.size(); i++) {
      Text text = stepping.get(i);
      text.passed(step.get(i).ids().length, step.get(i).routes());
      float[] logits = step.get(i).logits();
      if (logits.length > 0) {
        choose(text, logits);
      }
    }
  }

  private void choose(Text text, float[] logits) {
    for (float logit : logits) {
      if (!Float.isFinite(logit)) {
        fail(
            text,
            new UnsupportedException(
                "the text, after " + text.sequence().length() + " tokens",
                "logits that are finite numbers",
                String.valueOf(logit),
                "these weights compute nothing here"));
        return;
      }
    }
    Job.@Nullable End end = text.choose();
    if (end != null) {
      running.remove(text);
      leave(text);
      text.end(end);
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

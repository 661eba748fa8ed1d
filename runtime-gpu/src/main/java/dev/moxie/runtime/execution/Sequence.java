package dev.moxie.runtime.execution;

import dev.moxie.runtime.plain.Past;

/**
 * Tokens that follow each other, and what layers keep of them: one of several {@link Sequences}.
 * Closing it, at any time between two steps, gives its memory back.
 */
public final class Sequence implements AutoCloseable {
  private final Sequences among;
  private final Past past;
  private final int capacity;
  private int length;
  private int lastStep;
  private boolean closed;

  Sequence(Sequences among, Past past, int capacity, int length) {
    this.among = among;
    this.past = past;
    this.capacity = capacity;
    this.length = length;
  }

  /** Tokens that have passed. */
  public int length() {
    return length;
  }

  /**
   * A sequence that begins with the first tokens of this one, none of which is computed again. What
   * both keep of them lies in memory once, but for a few tokens at their end.
   *
   * @param tokens how many, from 0 to {@link #length}, of which {@link #forkable} are
   */
  public Sequence fork(int tokens) {
    requireOpen();
    if (tokens < 0 || tokens > length) {
      throw new IllegalArgumentException(
          "the first " + tokens + " tokens of a sequence that has " + length);
    }
    if (forkable(tokens) != tokens) {
      throw new IllegalArgumentException(
          "the first %d of %d tokens, of which layers keep one state: fork all of them, or none"
              .formatted(tokens, length));
    }
    among.requireRoom(among.blocksOfFork(tokens));
    return new Sequence(among, past.fork(tokens), capacity, tokens);
  }

  /**
   * How many of its first tokens a fork can begin with: all of those, or, where layers keep a state
   * of the whole sequence, none unless that is all it has. Whoever wants to go on from a beginning
   * again keeps a fork that was made there.
   */
  public int forkable(int tokens) {
    return tokens == length || !among.haveStates() ? tokens : 0;
  }

  Past past() {
    return past;
  }

  /** Blocks that more tokens take of the memory, if they are allowed. */
  long lacks(Sequences owner, long[] ids, int vocabulary) {
    requireOpen();
    if (owner != among) {
      throw new IllegalArgumentException("a sequence of another model");
    }
    Tokens.require(ids, vocabulary, length, capacity);
    return past.lacks((long) length + ids.length);
  }

  /** Takes part in a step, once. */
  void enter(int step) {
    if (lastStep == step) {
      throw new IllegalArgumentException("two slices of one sequence in one step");
    }
    lastStep = step;
  }

  void advance(int tokens) {
    length += tokens;
    past.keep(length);
  }

  /**
   * Says whether the last token of the next step is a guess. Only for one that no other has been
   * forked of, and whose memory has no limit: what both would share is written again, and what lies
   * there of states a third time is not counted.
   */
  void guess(boolean last) {
    past.guess(last);
  }

  /** Takes back the guess that the last step ended with. */
  void takeBack() {
    length--;
    past.takeBack();
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the sequence was closed");
    }
  }

  @Override
  public void close() {
    past.clear();
    closed = true;
  }
}

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

  /** Tokens, from the first one on, that the layer for multi-token prediction has passed. */
  private int foreseen;

  /** Tokens, from the first one on, that another sequence has as well. */
  private int shared;

  private int lastStep;

  /** Where its tokens begin among those of that step. */
  private int row;

  private boolean closed;

  Sequence(Sequences among, Past past, int capacity, int length) {
    this.among = among;
    this.past = past;
    this.capacity = capacity;
    this.length = length;
    foreseen = length;
    shared = length;
  }

  /** Tokens that have passed. */
  public int length() {
    return length;
  }

  /**
   * A sequence that begins with the first tokens of this one, none of which is computed again. What
   * both keep of them lies in memory once, but for a few tokens at their end.
   *
   * @param tokens how many, from 0 to {@link #length}, as {@link #forkable} has it
   */
  public Sequence fork(int tokens) {
    requireOpen();
    if (tokens < 0 || tokens > length) {
      throw new IllegalArgumentException(
          "the first " + tokens + " tokens of a sequence that has " + length);
    }
    if (among.haveStates() && tokens != 0 && tokens != length) {
      throw new IllegalArgumentException(
          "the first %d of %d tokens, of which layers keep one state: fork all of them, or none"
              .formatted(tokens, length));
    }
    if (among.canGuess() && tokens > foreseen) {
      throw new IllegalArgumentException(
          "the first %d tokens, of which the layer for multi-token prediction has passed %d"
              .formatted(tokens, foreseen));
    }
    among.requireRoom(among.blocksOfFork(tokens));
    Past fork = past.fork(tokens);
    shared = Math.max(shared, tokens);
    return new Sequence(among, fork, capacity, tokens);
  }

  /**
   * With how many tokens a fork can begin: all of those, or, where layers keep a state of the whole
   * sequence, none unless that is all it has. Whoever wants to go on from a beginning again keeps a
   * fork that was made there. Where tokens are guessed all but the last, since the prediction layer
   * has passed that one together with the token that came after it here.
   *
   * @param tokens that it and another text begin with; may be more than have passed
   */
  public int forkable(int tokens) {
    if (among.canGuess()) {
      return Math.max(0, Math.min(tokens - 1, foreseen));
    }
    int passed = Math.min(tokens, length);
    return passed == length || !among.haveStates() ? passed : 0;
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

  /** Tokens, from the first one on, that the layer for multi-token prediction has passed. */
  int foreseen() {
    return foreseen;
  }

  /** Says that it has passed all. */
  void foresee() {
    foreseen = length;
  }

  /** Where its tokens begin among those of the last step. */
  int row() {
    return row;
  }

  void begins(int row) {
    this.row = row;
  }

  /** Makes sure that the tokens that wait for their next one are of a slice of the last step. */
  void requireUnforeseen(int step, long[] ids) {
    requireOpen();
    int waiting = length - foreseen;
    if (lastStep != step || waiting < 1 || waiting > ids.length) {
      throw new IllegalArgumentException(
          "a guess after %d tokens, of which the prediction layer has passed %d"
              .formatted(length, foreseen));
    }
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
   * Says whether the last token of the next step is a guess. Where layers keep a state, only for
   * one that no other has been forked of, and whose memory has no limit: what lies there of states
   * a third time is not counted.
   */
  void guess(boolean last) {
    past.guess(last);
  }

  /**
   * Forgets the tokens after the first ones, which are written again.
   *
   * @param tokens at least those that a fork has as well or the prediction layer has passed; where
   *     layers keep a state of all tokens, all but a {@link #guess} at most
   * @throws IllegalArgumentException if they are fewer
   */
  public void cut(int tokens) {
    requireOpen();
    boolean states = among.haveStates() && tokens < length;
    boolean kept = !states || tokens == length - 1 && past.isGuessing();
    if (tokens < Math.max(shared, foreseen) || tokens > length || !kept) {
      throw new IllegalArgumentException(
          "only the first %d of %d tokens, %d of them final"
              .formatted(tokens, length, Math.max(shared, foreseen)));
    }
    if (states) {
      past.takeBack();
    }
    length = tokens;
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

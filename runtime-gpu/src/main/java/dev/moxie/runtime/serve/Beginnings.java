package dev.moxie.runtime.serve;

import dev.moxie.runtime.execution.Sequence;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/**
 * Texts that ended, kept in case another begins alike: the next turn of a conversation, or a prompt
 * that many share. The one used longest ago goes first.
 */
final class Beginnings {
  private final int most;

  /** The one used last comes first. */
  private final Deque<Kept> kept = new ArrayDeque<>();

  Beginnings(int most) {
    this.most = most;
  }

  private static final class Kept {
    final long[] tokens;
    final Sequence sequence;

    Kept(long[] tokens, Sequence sequence) {
      this.tokens = tokens;
      this.sequence = sequence;
    }

    int shared(long[] others, int limit) {
      int most = Math.min(Math.min(tokens.length, others.length), limit);
      int mismatch = Arrays.mismatch(tokens, 0, most, others, 0, most);
      return sequence.forkable(mismatch < 0 ? most : mismatch);
    }
  }

  /** Takes a sequence over. */
  void keep(long[] tokens, Sequence sequence) {
    kept.addFirst(new Kept(tokens, sequence));
    if (kept.size() > most) {
      forget();
    }
  }

  /**
   * A sequence that begins with as many tokens of a text as any that is kept.
   *
   * @param limit tokens at most
   * @param than more of them than that
   * @return null if none begins so much alike
   */
  @Nullable Sequence fork(long[] tokens, int limit, int than) {
    Kept best = null;
    int shared = than;
    for (Kept one : kept) {
      int own = one.shared(tokens, limit);
      if (own > shared) {
        best = one;
        shared = own;
      }
    }
    if (best == null) {
      return null;
    }
    kept.remove(best);
    kept.addFirst(best);
    return best.sequence.fork(shared);
  }

  /**
   * Gives the memory of one back.
   *
   * @return false if there is none
   */
  boolean forget() {
    Kept last = kept.pollLast();
    if (last == null) {
      return false;
    }
    last.sequence.close();
    return true;
  }
}

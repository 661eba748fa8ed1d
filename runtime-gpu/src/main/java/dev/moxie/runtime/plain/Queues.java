package dev.moxie.runtime.plain;

import dev.moxie.format.model.Routing;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Which choices find the queue of their expert full ({@link Routing.Drops}). Where a token depends
 * on those before it alone, what queues have so far is kept of a sequence; else all of its tokens
 * pass together.
 *
 * @param state where queues are kept; {@link #NO_STATE} where none need be
 */
record Queues(
    Pass pass, int state, Routing.Drops drops, int experts, Value values, Value chosen, Value y)
    implements Instruction {
  static final int NO_STATE = -1;

  @Override
  public void run() {
    for (int start = 0, end; start < pass.tokens(); start = end) {
      end = pass.endOfRun(start);
      if (state == NO_STATE) {
        requireWhole(start);
        queue(start, end, pass.scratch().of(Scratch.Room.ROW, experts));
      } else {
        Past.State kept = pass.past(start).state(state, experts);
        System.arraycopy(kept.now(), 0, kept.beforeGuess(), 0, experts);
        queue(start, end - 1, kept.beforeGuess());
        System.arraycopy(kept.beforeGuess(), 0, kept.next(), 0, experts);
        queue(end - 1, end, kept.next());
        kept.advance();
      }
    }
  }

  private void requireWhole(int start) {
    if (pass.position(start) != 0) {
      throw new IllegalStateException("tokens from " + pass.position(start) + " on");
    }
  }

  private void queue(int start, int end, float[] waiting) {
    if (state == NO_STATE) {
      Arrays.fill(waiting, 0, experts, 0);
    }
    int capacity = drops.capacity(end - start);
    float[] ids = pass.array(chosen);
    float[] out = pass.array(y);
    int[] order = order(start, end);
    for (int i = 0; i < chosen.columns(); i++) {
      for (int t : order) {
        int expert = (int) ids[t * chosen.apart() + i];
        out[t * y.apart() + i] = waiting[expert] < capacity ? 0 : 1;
        waiting[expert]++;
      }
    }
  }

  /** Tokens in the order in which choices of one rank queue. */
  private int[] order(int start, int end) {
    IntStream tokens = IntStream.range(start, end);
    return switch (drops.order()) {
      case CHOICE_THEN_POSITION -> tokens.toArray();
      case CHOICE_THEN_SCORE ->
          tokens
              .boxed()
              .sorted(Comparator.comparingDouble(t -> -best(t)))
              .mapToInt(Integer::intValue)
              .toArray();
    };
  }

  /** The value by which a token chose its first expert. */
  private float best(int token) {
    int expert = (int) pass.array(chosen)[token * chosen.apart()];
    return pass.array(values)[token * values.apart() + expert];
  }
}

package dev.moxie.runtime.plain;

import dev.moxie.format.model.Routing;
import java.util.Arrays;

/**
 * Which choices find the queue of their expert full ({@link Routing.Drops}). Where a token depends
 * on those before it alone, what queues have so far is kept of a sequence; else all of its tokens
 * pass together.
 *
 * @param state where queues are kept; {@link #NO_STATE} where none need be
 */
record Queues(Pass pass, int state, Routing.Drops drops, int experts, Value chosen, Value y)
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
        float[] before = kept.now();
        System.arraycopy(before, 0, kept.next(), 0, experts);
        queue(start, end, kept.next());
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
    for (int i = 0; i < chosen.columns(); i++) {
      for (int t = start; t < end; t++) {
        int expert = (int) ids[t * chosen.apart() + i];
        out[t * y.apart() + i] = waiting[expert] < capacity ? 0 : 1;
        waiting[expert]++;
      }
    }
  }
}

package dev.moxie.runtime.plain;

import dev.moxie.format.model.Ops;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * What value heads keep, updated and read token by token ({@link Ops#recur}). By the delta rule a
 * state passes by twice for a token: for what it has at the key, and to be changed and read. Of S,
 * [keySize, valueSize], rows lie one after the other.
 */
record Recurrence(
    Pass pass,
    int state,
    Ops.States states,
    Value q,
    Value k,
    Value v,
    Value d,
    @Nullable Value b,
    Value y)
    implements Instruction, Team.Task {

  private Past.State state(int token) {
    int size = states.keySize() * states.valueSize();
    return pass.past(token).state(state, Math.multiplyExact(states.valueHeads(), size));
  }

  @Override
  public void run() {
    for (int t = 0; t < pass.tokens(); t = pass.endOfRun(t)) {
      var _ = state(t);
    }
    long passes = b == null ? 2 : 3;
    long work = passes * states.keySize() * states.valueSize() * pass.tokens();
    pass.team().each(states.valueHeads(), work, this);
    for (int t = 0; t < pass.tokens(); t = pass.endOfRun(t)) {
      state(t).advance();
    }
  }

  @Override
  public void turn(int head, Scratch scratch) {
    int first = head * states.keySize() * states.valueSize();
    for (int start = 0, end; start < pass.tokens(); start = end) {
      end = pass.endOfRun(start);
      Past.State state = state(start);
      float[] before = state.now();
      for (int t = start; t < end; t++) {
        float[] after = t < end - 1 ? state.beforeGuess() : state.next();
        step(t, head, before, after, first, scratch);
        before = after;
      }
    }
  }

  private void step(int t, int head, float[] before, float[] after, int first, Scratch scratch) {
    int keySize = states.keySize();
    int size = states.valueSize();
    int shared = shared(head);
    float[] keys = pass.array(k);
    int key = t * k.apart() + shared;
    float[] queries = pass.array(q);
    int query = t * q.apart() + shared;
    float[] written = scratch.of(Scratch.Room.ROW, size);
    write(t, head, before, first, written);
    float[] out = pass.array(y);
    int to = t * y.apart() + head * size;
    Arrays.fill(out, to, to + size, 0);
    for (int i = 0; i < keySize; i++) {
      int row = first + i * size;
      Sums.fade(fading(t, head, i), before, keys[key + i], written, after, row, size);
      Sums.add(queries[query + i], after, row, out, to, size);
    }
  }

  /** Where the query and key that a value head reads begin among all. */
  private int shared(int head) {
    return head * states.keyHeads() / states.valueHeads() * states.keySize();
  }

  private float fading(int t, int head, int row) {
    int decay = states.byRow() ? head * states.keySize() + row : head;
    return pass.array(d)[t * d.apart() + decay];
  }

  /** What is written at the key. */
  private void write(int t, int head, float[] before, int first, float[] written) {
    int keySize = states.keySize();
    int size = states.valueSize();
    float[] values = pass.array(v);
    int value = t * v.apart() + head * size;
    if (b == null) {
      System.arraycopy(values, value, written, 0, size);
      return;
    }
    float[] keys = pass.array(k);
    int key = t * k.apart() + shared(head);
    float part = Numbers.sigmoid(pass.array(b)[t * b.apart() + head]);
    Arrays.fill(written, 0, size, 0);
    for (int i = 0; i < keySize; i++) {
      float faded = fading(t, head, i) * keys[key + i];
      Sums.add(faded, before, first + i * size, written, 0, size);
    }
    for (int c = 0; c < size; c++) {
      written[c] = part * (values[value + c] - written[c]);
    }
  }
}

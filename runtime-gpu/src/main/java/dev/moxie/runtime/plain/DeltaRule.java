package dev.moxie.runtime.plain;

import dev.moxie.format.model.Attention;
import java.util.Arrays;

/**
 * What value heads keep, updated and read token by token ({@link Attention.GatedDelta}). A state
 * passes by twice for a token: for what it has at the key, and to be changed and read. Of S,
 * [keySize, valueSize], rows lie one after the other.
 */
record DeltaRule(
    Pass pass,
    int state,
    Attention.GatedDelta attention,
    Value q,
    Value k,
    Value v,
    Value d,
    Value b,
    Value y)
    implements Instruction, Team.Task {

  private Past.State state(int token) {
    int size = attention.keySize() * attention.valueSize();
    return pass.past(token).state(state, Math.multiplyExact(attention.valueHeads(), size));
  }

  @Override
  public void run() {
    for (int t = 0; t < pass.tokens(); t = pass.endOfRun(t)) {
      var _ = state(t);
    }
    long work = 3L * attention.keySize() * attention.valueSize() * pass.tokens();
    pass.team().each(attention.valueHeads(), work, this);
    for (int t = 0; t < pass.tokens(); t = pass.endOfRun(t)) {
      state(t).advance();
    }
  }

  @Override
  public void turn(int head, Scratch scratch) {
    int first = head * attention.keySize() * attention.valueSize();
    for (int start = 0, end; start < pass.tokens(); start = end) {
      end = pass.endOfRun(start);
      float[] before = state(start).now();
      float[] after = state(start).next();
      for (int t = start; t < end; t++) {
        step(t, head, before, after, first, scratch);
        before = after;
      }
    }
  }

  private void step(int t, int head, float[] before, float[] after, int first, Scratch scratch) {
    int keySize = attention.keySize();
    int size = attention.valueSize();
    int shared = head * attention.keyHeads() / attention.valueHeads() * keySize;
    float[] keys = pass.array(k);
    int key = t * k.apart() + shared;
    float[] queries = pass.array(q);
    int query = t * q.apart() + shared;
    float fading = pass.array(d)[t * d.apart() + head];
    float part = Numbers.sigmoid(pass.array(b)[t * b.apart() + head]);
    float[] written = scratch.of(Scratch.Room.ROW, size);
    Arrays.fill(written, 0, size, 0);
    for (int i = 0; i < keySize; i++) {
      Sums.add(keys[key + i], before, first + i * size, written, 0, size);
    }
    float[] values = pass.array(v);
    int value = t * v.apart() + head * size;
    for (int c = 0; c < size; c++) {
      written[c] = part * Math.fma(-fading, written[c], values[value + c]);
    }
    float[] out = pass.array(y);
    int to = t * y.apart() + head * size;
    Arrays.fill(out, to, to + size, 0);
    for (int i = 0; i < keySize; i++) {
      int row = first + i * size;
      Sums.fade(fading, before, keys[key + i], written, after, row, size);
      Sums.add(queries[query + i], after, row, out, to, size);
    }
  }
}

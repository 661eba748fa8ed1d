package dev.moxie.runtime.plain;

import dev.moxie.format.model.Attention;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Every head's query against the tokens of a window, entries of those before, and a sink. */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
record CompressedAttention(
    Pass pass,
    int layer,
    Attention.Compressed attention,
    Value q,
    Value v,
    @Nullable Value entries,
    @Nullable Chosen chosen,
    float[] sinks,
    Value y)
    implements Instruction, Team.Task {

  @Override
  public void run() {
    Value second = entries == null ? v : entries;
    for (int t = 0; t < pass.tokens(); t++) {
      pass.past(t)
          .put(
              layer,
              pass.position(t),
              pass.array(v),
              t * v.apart(),
              v.columns(),
              pass.array(second),
              t * second.apart(),
              entries == null ? 0 : second.columns());
    }
    long work = 2L * attention.headSize() * pass.seen();
    pass.team().each(pass.tokens() * attention.heads(), work, this);
  }

  @Override
  public void turn(int turn, Scratch scratch) {
    int t = turn / attention.heads();
    int head = turn % attention.heads();
    int size = attention.headSize();
    int position = pass.position(t);
    int first = (int) attention.firstSeen(position);
    int near = position + 1 - first;
    Attention.Compression n = attention.compression();
    int[] some = chosen == null ? null : chosen.of(t);
    int every = n == null ? 1 : n.tokens();
    int whole = n == null ? 0 : (position + 1) / every;
    int count = near + (some == null ? whole : some.length);
    Past.Layer kept = pass.past(t).layer(layer);
    float[] scores = scratch.of(Scratch.Room.SCORES, count);
    float[] queries = pass.array(q);
    int from = t * q.apart() + head * size;
    float scale = (float) attention.softmaxScale();
    for (int j = 0; j < count; j++) {
      int at = j < near ? first + j : last(some, j - near, every);
      float[] row = (j < near ? kept.keys() : kept.values())[at / Past.BLOCK];
      scores[j] = scale * Sums.dot(row, at % Past.BLOCK * size, queries, from, size);
    }
    float total = Mixing.shares(scores, count, sinks[head]);
    float[] out = pass.array(y);
    int to = t * y.apart() + head * size;
    Arrays.fill(out, to, to + size, 0);
    for (int j = 0; j < count; j++) {
      int at = j < near ? first + j : last(some, j - near, every);
      float[] row = (j < near ? kept.keys() : kept.values())[at / Past.BLOCK];
      Sums.add(scores[j], row, at % Past.BLOCK * size, out, to, size);
    }
    for (int c = to; c < to + size; c++) {
      out[c] /= total;
    }
  }

  /** The position of the last token that an entry is made of. */
  private static int last(int @Nullable [] some, int number, int every) {
    return ((some == null ? number : some[number]) + 1) * every - 1;
  }
}

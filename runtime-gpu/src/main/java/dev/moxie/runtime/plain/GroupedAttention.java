package dev.moxie.runtime.plain;

import dev.moxie.format.model.Attention;
import org.jspecify.annotations.Nullable;

/**
 * Every head's query against the keys that it may see; heads side by side.
 *
 * @param sinks a score per head beside those of keys; null where there are none
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
record GroupedAttention(
    Pass pass,
    int layer,
    Attention.GroupedQuery attention,
    Value q,
    Value k,
    Value v,
    float @Nullable [] sinks,
    Value y)
    implements Instruction, Team.Task {

  @Override
  public void run() {
    for (int t = 0; t < pass.tokens(); t++) {
      pass.past(t)
          .put(
              layer,
              pass.position(t),
              pass.array(k),
              t * k.apart(),
              k.columns(),
              pass.array(v),
              t * v.apart(),
              v.columns());
    }
    long work = 2L * attention.headSize() * pass.seen();
    pass.team().each(pass.tokens() * attention.heads(), work, this);
  }

  @Override
  public void turn(int turn, Scratch scratch) {
    int t = turn / attention.heads();
    int head = turn % attention.heads();
    int size = attention.headSize();
    int values = attention.valuesOfHead();
    int shared = head * attention.keyValueHeads() / attention.heads();
    int position = pass.position(t);
    int first = (int) attention.firstSeen(position);
    int count = position + 1 - first;
    Past.Layer kept = pass.past(t).layer(layer);
    float[] scores = scratch.of(Scratch.Room.SCORES, count);
    float scale = (float) attention.softmaxScale();
    Keys.scores(
        pass.array(q),
        t * q.apart() + head * size,
        size,
        kept.keys(),
        shared * size,
        k.columns(),
        first,
        count,
        scores,
        scratch.lanes);
    for (int j = 0; j < count; j++) {
      scores[j] *= scale;
    }
    float total = Mixing.shares(scores, count, sinks == null ? Mixing.NO_SINK : sinks[head]);
    Mixing.mix(
        scores,
        count,
        total,
        kept.values(),
        shared * values,
        v.columns(),
        first,
        values,
        pass.array(y),
        t * y.apart() + head * values);
  }
}

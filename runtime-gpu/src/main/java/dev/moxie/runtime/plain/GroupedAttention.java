package dev.moxie.runtime.plain;

import dev.moxie.format.model.Attention;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Every head's query against the keys that it may see; heads side by side.
 *
 * @param k keys of the tokens; null where they see those of an encoder, which are remembered
 * @param v likewise values
 * @param blocks which of the positions up to its own a head sees; null where those that the
 *     attention says
 * @param sinks a score per head beside those of keys; null where there are none
 * @param distances what scores are given, by bucket and head; null where nothing
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
record GroupedAttention(
    Pass pass,
    int layer,
    Attention.GroupedQuery attention,
    Value q,
    @Nullable Value k,
    @Nullable Value v,
    @Nullable ChosenBlocks blocks,
    float @Nullable [] sinks,
    float @Nullable [][] distances,
    Value y)
    implements Instruction, Team.Task {

  @Override
  public void run() {
    for (int t = 0; k != null && v != null && t < pass.tokens(); t++) {
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
    if (blocks != null && !blocks.seesAll(t)) {
      mixBlocks(blocks, t, head, scratch);
      return;
    }
    int size = attention.headSize();
    int values = attention.valuesOfHead();
    int shared = head * attention.keyValueHeads() / attention.heads();
    int position = pass.position(t);
    int first = (int) attention.firstSeen(position);
    Past past = pass.past(t);
    Past.Layer kept = k == null ? past.remembered(layer) : past.layer(layer);
    int last = k == null ? past.remembered() - 1 : lastSeen(t);
    int count = last + 1 - first;
    float[] scores = scratch.of(Scratch.Room.SCORES, count);
    Keys.scores(
        pass.array(q),
        t * q.apart() + head * size,
        size,
        kept.keys(),
        shared * size,
        attention.keyValueHeads() * size,
        first,
        count,
        scores,
        scratch.lanes);
    scale(scores, count);
    if (distances != null) {
      shift(scores, count, first - position, head);
    }
    float total = Mixing.shares(scores, count, sinks == null ? Mixing.NO_SINK : sinks[head]);
    Mixing.mix(
        scores,
        count,
        total,
        kept.values(),
        shared * values,
        attention.keyValueHeads() * values,
        first,
        values,
        pass.array(y),
        t * y.apart() + head * values);
  }

  private void scale(float[] scores, int count) {
    float scale = (float) attention.softmaxScale();
    for (int j = 0; j < count; j++) {
      scores[j] *= scale;
    }
    if (attention.scoreCap() != null) {
      Numbers.cap(scores, 0, count, attention.scoreCap().floatValue(), scores, 0);
    }
  }

  /** The same where a head sees some blocks. */
  private void mixBlocks(ChosenBlocks chosen, int t, int head, Scratch scratch) {
    Attention.BlockIndexer n = Objects.requireNonNull(attention.blockIndexer());
    int size = attention.headSize();
    int width = attention.valuesOfHead();
    int shared = head * attention.keyValueHeads() / attention.heads();
    int[] some = chosen.of(t, head * n.heads() / attention.heads());
    int end = pass.position(t) + 1;
    Past.Layer kept = pass.past(t).layer(layer);
    float[] scores = scratch.of(Scratch.Room.SCORES, some.length * n.block());
    float[] queries = pass.array(q);
    int query = t * q.apart() + head * size;
    int count = 0;
    for (int block : some) {
      for (int j = block * n.block(); j < Math.min((block + 1) * n.block(), end); j++) {
        int key = (j % Past.BLOCK * attention.keyValueHeads() + shared) * size;
        float[] keys = kept.keys()[j / Past.BLOCK];
        scores[count++] = Sums.dot(keys, key, queries, query, size, scratch.lanes);
      }
    }
    scale(scores, count);
    float total = Mixing.shares(scores, count, sinks == null ? Mixing.NO_SINK : sinks[head]);
    float[] out = pass.array(y);
    int to = t * y.apart() + head * width;
    Arrays.fill(out, to, to + width, 0);
    int i = 0;
    for (int block : some) {
      for (int j = block * n.block(); j < Math.min((block + 1) * n.block(), end); j++) {
        int value = (j % Past.BLOCK * attention.keyValueHeads() + shared) * width;
        Sums.add(scores[i++] / total, kept.values()[j / Past.BLOCK], value, out, to, width);
      }
    }
  }

  private int lastSeen(int t) {
    return attention.bidirectional() ? pass.position(pass.endOfRun(t) - 1) : pass.position(t);
  }

  /** Adds what keys have by their distance, the first being so many positions after the token. */
  private void shift(float[] scores, int count, int after, int head) {
    Attention.Distances d = Objects.requireNonNull(attention.distances());
    float[][] biases = Objects.requireNonNull(distances);
    for (int j = 0; j < count; j++) {
      scores[j] += biases[d.bucket(after + j, attention.bidirectional())][head];
    }
  }
}

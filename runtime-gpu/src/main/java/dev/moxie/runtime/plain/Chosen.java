package dev.moxie.runtime.plain;

import dev.moxie.format.model.Attention;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Which positions tokens see: the indexer's keys of all of them are kept, and those with the
 * largest scores are found; of equal ones the earlier.
 */
final class Chosen implements Instruction, Team.Task {
  private final Pass pass;
  private final int layer;
  private final Attention.Indexer indexer;
  private final int every;
  private final Value q;
  private final Value k;
  private final Value w;

  /** By token; null until one there does not see all. */
  private int[] @Nullable [] positions = new int[0][];

  private boolean[] seesAll = new boolean[0];

  Chosen(Pass pass, int layer, Attention.Indexer indexer, int every, Value q, Value k, Value w) {
    this.pass = pass;
    this.layer = layer;
    this.indexer = indexer;
    this.every = every;
    this.q = q;
    this.k = k;
    this.w = w;
  }

  /** What a token sees, in ascending order; null if all that came before. */
  int @Nullable [] of(int token) {
    return seesAll[token] ? null : positions[token];
  }

  @Override
  public void run() {
    int tokens = pass.tokens();
    if (positions.length < tokens) {
      positions = new int[tokens][];
      seesAll = new boolean[tokens];
    }
    for (int t = 0; t < tokens; t++) {
      pass.past(t).putIndex(layer, pass.position(t), pass.array(k), t * k.apart(), k.columns());
    }
    pass.team().each(tokens, (long) q.columns() * pass.seen(), this);
  }

  @Override
  public void turn(int token, Scratch scratch) {
    int count = (pass.position(token) + 1) / every;
    seesAll[token] = count <= indexer.kept();
    if (!seesAll[token]) {
      int[] chosen = positions[token];
      if (chosen == null) {
        chosen = new int[indexer.kept()];
        positions[token] = chosen;
      }
      largest(scores(token, count, scratch), count, chosen.length, chosen, scratch);
    }
  }

  /** Σ w_h max(0, q_h · k_j) for each position. */
  private float[] scores(int token, int count, Scratch scratch) {
    float[] sums = scratch.of(Scratch.Room.ROW, count);
    float[] products = scratch.of(Scratch.Room.SCORES, count);
    float[][] keys = pass.past(token).layer(layer).index();
    float[] queries = pass.array(q);
    float[] weights = pass.array(w);
    int size = indexer.size();
    Arrays.fill(sums, 0, count, 0);
    for (int h = 0; h < indexer.heads(); h++) {
      int from = token * q.apart() + h * size;
      products(queries, from, keys, count, products, scratch);
      float weight = weights[token * w.apart() + h];
      for (int j = 0; j < count; j++) {
        sums[j] = Math.fma(weight, Math.max(0, products[j]), sums[j]);
      }
    }
    return sums;
  }

  /** q · k of the positions that have a key. */
  private void products(
      float[] queries, int from, float[][] keys, int count, float[] products, Scratch scratch) {
    int size = indexer.size();
    if (every == 1) {
      Keys.scores(queries, from, size, keys, 0, size, 0, count, products, scratch.lanes);
      return;
    }
    for (int j = 0; j < count; j++) {
      int position = (j + 1) * every - 1;
      int at = position % Past.BLOCK * size;
      products[j] = Sums.dot(keys[position / Past.BLOCK], at, queries, from, size);
    }
  }

  /**
   * Puts the places of the largest of some scores first, in ascending order; of equal ones the
   * earlier.
   */
  static void largest(float[] scores, int count, int kept, int[] chosen, Scratch scratch) {
    long[] order = scratch.order(count);
    for (int j = 0; j < count; j++) {
      // As whole numbers, bits of floats are in their order, those of negative ones in the other.
      int bits = Float.floatToIntBits(-scores[j]);
      order[j] = (long) (bits ^ (bits >> 31 & Integer.MAX_VALUE)) << Integer.SIZE | j;
    }
    Arrays.sort(order, 0, count);
    for (int i = 0; i < kept; i++) {
      chosen[i] = (int) order[i];
    }
    Arrays.sort(chosen, 0, kept);
  }
}

package dev.moxie.runtime.plain;

import dev.moxie.format.model.Attention;
import java.util.Arrays;

/**
 * Which blocks of positions heads see: the indexer's keys of all positions are kept, and the blocks
 * with the largest products are found; of equal ones the earlier.
 */
final class ChosenBlocks implements Instruction, Team.Task {
  private final Pass pass;
  private final int layer;
  private final Attention.BlockIndexer indexer;
  private final Value q;
  private final Value k;

  /** By token and group of heads. */
  private int[][] blocks = new int[0][];

  ChosenBlocks(Pass pass, int layer, Attention.BlockIndexer indexer, Value q, Value k) {
    this.pass = pass;
    this.layer = layer;
    this.indexer = indexer;
    this.q = q;
    this.k = k;
  }

  /** Whether heads of a token see all that came before. */
  boolean seesAll(int token) {
    return indexer.blocks(pass.position(token)) <= indexer.kept();
  }

  /** The blocks that heads of a group see, in ascending order, where these are not all. */
  int[] of(int token, int group) {
    return blocks[token * indexer.heads() + group];
  }

  @Override
  public void run() {
    int tokens = pass.tokens();
    if (blocks.length < tokens * indexer.heads()) {
      blocks = new int[tokens * indexer.heads()][indexer.kept()];
    }
    for (int t = 0; t < tokens; t++) {
      pass.past(t).putIndex(layer, pass.position(t), pass.array(k), t * k.apart(), k.columns());
    }
    pass.team().each(tokens * indexer.heads(), (long) indexer.size() * pass.seen(), this);
  }

  @Override
  public void turn(int turn, Scratch scratch) {
    int token = turn / indexer.heads();
    if (seesAll(token)) {
      return;
    }
    int all = indexer.blocks(pass.position(token));
    int[] chosen = blocks[turn];
    int kept = indexer.kept() - indexer.local();
    float[] scores = scores(token, turn % indexer.heads(), all - indexer.local(), scratch);
    Chosen.largest(scores, all - indexer.local(), kept, chosen, scratch);
    for (int i = 0; i < indexer.local(); i++) {
      chosen[kept + i] = all - indexer.local() + i;
    }
  }

  /** Of so many first blocks, all of whose positions a token sees, the largest product of each. */
  private float[] scores(int token, int group, int count, Scratch scratch) {
    int size = indexer.size();
    int positions = Math.min(count * indexer.block(), pass.position(token) + 1);
    float[] products = scratch.of(Scratch.Room.SCORES, positions);
    float[] largest = scratch.of(Scratch.Room.ROW, count);
    float[][] keys = pass.past(token).layer(layer).index();
    int from = token * q.apart() + group * size;
    Keys.scores(pass.array(q), from, size, keys, 0, size, 0, positions, products, scratch.lanes);
    Arrays.fill(largest, 0, count, Float.NEGATIVE_INFINITY);
    for (int j = 0; j < positions; j++) {
      int block = j / indexer.block();
      largest[block] = Math.max(largest[block], products[j]);
    }
    return largest;
  }
}

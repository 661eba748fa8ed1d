package dev.moxie.verifier.routing;

import java.util.Arrays;

/**
 * Adds up, block by block, which experts of a layer one text chose. Neighbouring tokens are alike,
 * so that tokens are no sample of independent ones; whole blocks are nearly one (the method of
 * batch means: Conway, "Some Tactical Problems in Digital Simulation", 1963). What is left of a
 * sequence that is no whole block is counted, and judged nothing by.
 */
final class BlockTally {
  /** Tokens of a block. */
  static final int TOKENS = 64;

  private final long[] counts;
  private final long[] sums;
  private final long[] squares;
  private final int[] block;
  private int filled;
  private long blocks;
  private long tokens;

  BlockTally(int experts) {
    counts = new long[experts];
    sums = new long[experts];
    squares = new long[experts];
    block = new int[experts];
  }

  /** Adds the next token of a sequence. */
  void add(int[] experts) {
    tokens++;
    for (int expert : experts) {
      counts[expert]++;
      block[expert]++;
    }
    if (++filled == TOKENS) {
      for (int e = 0; e < block.length; e++) {
        sums[e] += block[e];
        squares[e] += (long) block[e] * block[e];
      }
      blocks++;
      begin();
    }
  }

  /** Begins a sequence. */
  void begin() {
    Arrays.fill(block, 0);
    filled = 0;
  }

  /** All that another text counted, too. */
  void add(BlockTally other) {
    for (int e = 0; e < counts.length; e++) {
      counts[e] += other.counts[e];
      sums[e] += other.sums[e];
      squares[e] += other.squares[e];
    }
    blocks += other.blocks;
    tokens += other.tokens;
  }

  long blocks() {
    return blocks;
  }

  long tokens() {
    return tokens;
  }

  long count(int expert) {
    return counts[expert];
  }

  /** Part of the tokens that chose an expert. */
  double share(int expert) {
    return (double) counts[expert] / tokens;
  }

  /** Tokens of a block that chose an expert, on average. */
  double mean(int expert) {
    return (double) sums[expert] / blocks;
  }

  /**
   * Variance of that mean.
   *
   * @param least of the variance of one block
   */
  double varianceOfMean(int expert, double least) {
    double deviations = squares[expert] - (double) sums[expert] * sums[expert] / blocks;
    return Math.max(deviations / (blocks - 1), least) / blocks;
  }
}

package dev.moxie.verifier.bench;

/**
 * Tokens at random, the same in each run, and the same that runtime-gpu/bench/llama.mjs draws. The
 * likeliest tokens of random weights soon repeat, and so would the experts.
 */
final class RandomTokens {
  private static final long MASK = 0xffff_ffffL;

  private final int vocabulary;
  private long state;

  RandomTokens(int seed, int vocabulary) {
    this.state = seed;
    this.vocabulary = vocabulary;
  }

  long[] next(int count) {
    long[] ids = new long[count];
    for (int i = 0; i < count; i++) {
      state = (state * 1_664_525 + 1_013_904_223) & MASK;
      ids[i] = (state * vocabulary) >>> Integer.SIZE;
    }
    return ids;
  }
}

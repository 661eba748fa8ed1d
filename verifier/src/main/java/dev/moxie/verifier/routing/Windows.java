package dev.moxie.verifier.routing;

/**
 * How a text is cut into sequences.
 *
 * @param option that sets {@code most}, for messages
 * @param most tokens of a sequence, those included that begin a text
 * @param stride tokens that a sequence has and the one before has not; where that leaves room,
 *     those just before them come first
 * @param limit tokens that are taken of everything together, those not counted that begin a text
 */
public record Windows(String option, int most, int stride, long limit) {
  /** Sequences that share nothing, of everything. */
  public static Windows apart(String option, int most) {
    return new Windows(option, most, most, Long.MAX_VALUE);
  }

  /**
   * Tokens of the sequence before that each one but the first has after those that begin a text.
   *
   * @param beginning how many begin a text
   */
  public int overlap(int beginning) {
    return Math.max(0, most - beginning - stride);
  }
}

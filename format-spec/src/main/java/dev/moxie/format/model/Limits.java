package dev.moxie.format.model;

import dev.moxie.format.error.UnsupportedException;
import java.math.BigInteger;
import java.util.Arrays;

/**
 * Bounds on what an architecture may declare. They lie far above any released model and keep a
 * hostile config from choosing what a reader allocates or how long it loops.
 */
public final class Limits {
  public static final int MAX_LAYERS = 1 << 14;
  public static final int MAX_EXPERTS = 1 << 16;
  public static final int MAX_HEADS = 1 << 16;

  /** Tokens that a short convolution spans. */
  public static final int MAX_TAPS = 256;

  /** Residual streams. */
  public static final int MAX_STREAMS = 64;

  /** Iterations of their normalisation. */
  public static final int MAX_ITERATIONS = 1024;

  public static final int MAX_WIDTH = 1 << 24;
  public static final int MAX_VOCABULARY = 1 << 28;
  public static final long MAX_POSITIONS = 1L << 40;

  private Limits() {}

  /**
   * How many elements a tensor has that is to be held in one piece.
   *
   * @param what the tensor, for messages
   * @param most that a piece may have
   * @throws UnsupportedException if it has more
   */
  public static int elements(String what, int most, long... shape) {
    BigInteger elements =
        Arrays.stream(shape)
            .mapToObj(BigInteger::valueOf)
            .reduce(BigInteger.ONE, BigInteger::multiply);
    if (elements.compareTo(BigInteger.valueOf(most)) > 0) {
      throw new UnsupportedException(
          what + " of shape " + Arrays.toString(shape),
          "at most " + most + " elements, which can be held in one piece",
          elements.toString(),
          "pass fewer tokens; if few are too many, the model is too wide for this build");
    }
    return elements.intValueExact();
  }

  static void require(String name, long value, long least, long most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(
          name + ": expected " + least + " to " + most + ", found " + value);
    }
  }

  static void requirePositive(String name, double value) {
    if (!(value > 0) || Double.isInfinite(value)) {
      throw new IllegalArgumentException(
          name + ": expected a finite number above 0, found " + value);
    }
  }
}

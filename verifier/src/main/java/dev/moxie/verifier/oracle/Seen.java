package dev.moxie.verifier.oracle;

import java.util.function.LongUnaryOperator;
import java.util.stream.IntStream;

/** Which positions a token sees. */
interface Seen {
  /** All up to itself. */
  Seen ALL = from(t -> 0);

  /** All of so many, those after itself as well. */
  static Seen every(int tokens) {
    return t -> IntStream.range(0, tokens).toArray();
  }

  /** All from one on, up to itself. */
  static Seen from(LongUnaryOperator first) {
    return t -> IntStream.rangeClosed((int) first.applyAsLong(t), t).toArray();
  }

  /** The positions, in ascending order. */
  int[] of(int token);

  /** Positions that rounding may have had it see or not, in ascending order. */
  default int[] undecided(int token) {
    return new int[0];
  }
}

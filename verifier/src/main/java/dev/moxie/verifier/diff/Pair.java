package dev.moxie.verifier.diff;

import org.jspecify.annotations.Nullable;

/**
 * Two leaves of the same name, compared.
 *
 * @param tally null where bytes or digests decided, or nothing can be compared
 */
record Pair(Leaf a, Leaf b, Outcome outcome, @Nullable Tally tally) {
  /** What came of it. */
  enum Outcome {
    /** The indexes of two packages state equal digests. */
    TRUSTED,
    SAME_BYTES,
    SAME_VALUES,
    DIFFERENT,
    INCOMPARABLE
  }

  /** Compares two leaves whose digests do not decide. */
  static Pair of(Leaf a, Leaf b) {
    if (a.storedLike(b) && a.bytesEqual(b)) {
      return new Pair(a, b, Outcome.SAME_BYTES, null);
    }
    if (!Values.areComparable(a, b)) {
      return new Pair(a, b, Outcome.INCOMPARABLE, null);
    }
    Tally tally = Tally.of(a, b);
    return tally.differing == 0
        ? new Pair(a, b, Outcome.SAME_VALUES, null)
        : new Pair(a, b, Outcome.DIFFERENT, tally);
  }

  boolean is(Outcome other) {
    return outcome == other;
  }
}

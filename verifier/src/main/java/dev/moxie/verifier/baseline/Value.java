package dev.moxie.verifier.baseline;

import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A number that was recorded, and computed again.
 *
 * @param token null for one of the whole matrix
 * @param what which number
 * @param bound largest difference that is no drift
 */
record Value(@Nullable Integer token, String what, double recorded, double computed, double bound) {

  /** Whether the difference is within the bound; what is no number is not. */
  boolean holds() {
    return ratio() <= 1;
  }

  /** The difference as a multiple of the bound. */
  double ratio() {
    double difference = Math.abs(computed - recorded);
    return difference == 0 ? 0 : difference / bound;
  }

  /** The token, if it is one token's. */
  Stream<Integer> tokens() {
    return Stream.ofNullable(token);
  }

  /** Which number of which token, in words. */
  String describe() {
    return token == null ? what : "token " + token + ", " + what;
  }
}

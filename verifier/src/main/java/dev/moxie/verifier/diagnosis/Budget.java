package dev.moxie.verifier.diagnosis;

import java.time.Duration;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * How long differences are looked into: a supposition takes as long as what it supposes something
 * of, and there are hundreds.
 */
public final class Budget {
  /** What is spent where nobody says otherwise. */
  public static final Duration USUAL = Duration.ofMinutes(2);

  private final Duration limit;
  private final LongSupplier nanos;
  private long left;
  private int depth;
  private long since;

  /**
   * A budget.
   *
   * @param nanos the time, in nanoseconds since any
   */
  public Budget(Duration limit, LongSupplier nanos) {
    this.limit = limit;
    this.nanos = nanos;
    this.left = limit.toNanos();
  }

  /** So much by the system's clock. */
  public static Budget of(Duration limit) {
    return new Budget(limit, System::nanoTime);
  }

  /** {@link #USUAL}. */
  public static Budget usual() {
    return of(USUAL);
  }

  /** There is no more of it. */
  static final class Spent extends RuntimeException {
    private static final long serialVersionUID = 1;

    Spent() {
      super("the time for diagnosis is spent", null, false, false);
    }
  }

  /** How much there was. */
  Duration limit() {
    return limit;
  }

  /** Spends what some work takes. */
  <T> T during(Supplier<T> work) {
    if (depth++ == 0) {
      since = nanos.getAsLong();
    }
    try {
      return work.get();
    } finally {
      if (--depth == 0) {
        left -= nanos.getAsLong() - since;
      }
    }
  }

  /** Whether nothing is left. */
  boolean isSpent() {
    return left - (depth == 0 ? 0 : nanos.getAsLong() - since) <= 0;
  }

  /**
   * Goes on only if something is left.
   *
   * @throws Spent if not
   */
  void require() {
    if (isSpent()) {
      throw new Spent();
    }
  }
}

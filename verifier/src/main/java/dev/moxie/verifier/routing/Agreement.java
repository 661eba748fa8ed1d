package dev.moxie.verifier.routing;

import java.util.Locale;

/** How a decision compares with the reference's, as sets of experts. */
public enum Agreement {
  /** The same set. */
  MATCH,
  /** Another set, where rounding may have led to either. */
  TIE,
  /** Another set. */
  MISMATCH;

  /** As files spell it. */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
  }
}

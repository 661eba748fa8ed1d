package dev.moxie.runtime.serve;

/** As many texts wait as may. */
public final class Busy extends RuntimeException {
  private static final long serialVersionUID = 1;

  Busy(int waiting) {
    super(waiting + " texts wait already", null, false, false);
  }
}

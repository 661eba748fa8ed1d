package dev.moxie.runtime.template;

import java.time.Duration;

/** What a template may take, however it and what it is given are written. */
final class Budget {
  private static final long STEPS = 5_000_000;
  private static final int CALLS = 60;

  /** Characters of a text and items of a list, of which several thousand may be alive. */
  private static final int SIZE = 8_000_000;

  private static final Duration TIME = Duration.ofSeconds(5);
  private static final int STEPS_PER_LOOK = 1024;

  private final long until = System.nanoTime() + TIME.toNanos();
  private long steps;
  private long made;
  private int calls;

  /** Something is done. */
  void step() {
    if (++steps > STEPS) {
      throw new TemplateException("the template takes more than " + STEPS + " steps");
    }
    if (steps % STEPS_PER_LOOK == 0 && System.nanoTime() - until > 0) {
      throw new TemplateException("the template takes more than " + TIME.toSeconds() + " seconds");
    }
  }

  /** Something of a size is about to be made. */
  void make(long size) {
    made += size;
    requireSize(size);
    requireSize(made / 8);
  }

  static void requireSize(long size) {
    if (size > SIZE) {
      throw new TemplateException("the template makes texts or lists that are too large");
    }
  }

  void enter() {
    if (++calls > CALLS) {
      throw new TemplateException("macros call each other more than " + CALLS + " deep");
    }
  }

  void leave() {
    calls--;
  }
}

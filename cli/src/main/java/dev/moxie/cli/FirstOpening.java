package dev.moxie.cli;

import dev.moxie.verifier.LoweringCheck;

/** The check of a model that was never opened here, which takes long enough for a word. */
final class FirstOpening {
  private FirstOpening() {}

  static LoweringCheck check() {
    return new LoweringCheck(
        () -> System.err.println("a first opening: holding the model to the oracle"));
  }
}

package dev.moxie.runtime.plain;

/** One operation of a program. */
@FunctionalInterface
interface Instruction {
  /** Computes it for the tokens of the pass. */
  void run();
}

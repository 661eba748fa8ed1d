package dev.moxie.verifier.report;

import java.util.List;

/**
 * One thing that a verification checked, as a tool that counts tests sees it.
 *
 * @param detail where it fails one line per failure, where it was not checked why; otherwise empty
 */
record Check(String name, Outcome outcome, List<String> detail) {
  enum Outcome {
    PASS,
    FAIL,
    OPEN
  }

  /** One that was checked; the detail is kept if it failed. */
  static Check of(String name, boolean holds, List<String> detail) {
    return holds ? new Check(name, Outcome.PASS, List.of()) : new Check(name, Outcome.FAIL, detail);
  }

  static Check open(String name, String why) {
    return new Check(name, Outcome.OPEN, List.of(why));
  }

  boolean failed() {
    return outcome == Outcome.FAIL;
  }
}

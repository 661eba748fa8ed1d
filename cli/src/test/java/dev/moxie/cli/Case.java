package dev.moxie.cli;

/**
 * A small input that somebody brought, and what must come of it.
 *
 * @param kind of input; several inputs are of one
 * @param expected in words
 * @param check makes the input in an empty folder and throws an AssertionError saying what was
 *     found
 */
record Case(String kind, String input, String expected, Check check) {

  /** Makes the input and tries it. */
  @FunctionalInterface
  interface Check {
    void in(Workbench bench) throws Exception;
  }
}

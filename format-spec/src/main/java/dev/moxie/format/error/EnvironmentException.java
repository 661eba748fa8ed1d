package dev.moxie.format.error;

/** The machine lacks something: a library, a device, space. */
public final class EnvironmentException extends MoxieException {
  private static final long serialVersionUID = 1L;

  /**
   * Composes the one sentence that the user reads.
   *
   * @param where file, and tensor, key or offset inside it
   * @param expected what the rule asks for
   * @param found what is there
   * @param remedy what to do, without a full stop
   */
  public EnvironmentException(String where, String expected, String found, String remedy) {
    super(where, expected, found, remedy);
  }

  /**
   * Something was not left alone: what does not fit together then is neither corrupt nor different.
   *
   * @param where what was read
   * @param found what shows it
   */
  public static EnvironmentException changedWhileRead(String where, String found) {
    return new EnvironmentException(
        where,
        "what is there to stay as it is",
        "that it changed while it was read: " + found,
        "let nothing write to it and run the command again");
  }
}

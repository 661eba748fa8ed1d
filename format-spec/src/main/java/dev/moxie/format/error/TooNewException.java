package dev.moxie.format.error;

/** The input is of a later format version than this build reads. */
public final class TooNewException extends InvalidInputException {
  private static final long serialVersionUID = 1L;

  /**
   * Composes the one sentence that the user reads.
   *
   * @param where file, and tensor, key or offset inside it
   * @param expected what the rule asks for
   * @param found what is there
   * @param remedy what to do, without a full stop
   */
  public TooNewException(String where, String expected, String found, String remedy) {
    super(where, expected, found, remedy);
  }
}

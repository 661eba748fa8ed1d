package dev.moxie.format.error;

/** Two inputs, each fine by itself, of which one is not what the other says that it is. */
public final class MismatchException extends MoxieException {
  private static final long serialVersionUID = 1L;

  /**
   * Composes the one sentence that the user reads.
   *
   * @param where file, and tensor, key or offset inside it
   * @param expected what the other says
   * @param found what is there
   * @param remedy what to do, without a full stop
   */
  public MismatchException(String where, String expected, String found, String remedy) {
    super(where, expected, found, remedy);
  }
}

package dev.moxie.format.error;

/** The command, or the target it names, cannot be meant like this. */
public final class UsageException extends MoxieException {
  private static final long serialVersionUID = 1L;

  /**
   * Composes the one sentence that the user reads.
   *
   * @param where file, and tensor, key or offset inside it
   * @param expected what the rule asks for
   * @param found what is there
   * @param remedy what to do, without a full stop
   */
  public UsageException(String where, String expected, String found, String remedy) {
    super(where, expected, found, remedy);
  }
}

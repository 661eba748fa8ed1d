package dev.moxie.format.error;

/** An input that cannot be used as it is. The subclass says whose fault that is. */
public abstract sealed class InvalidInputException extends MoxieException
    permits CorruptException,
        TooNewException,
        TooOldException,
        UnfinishedException,
        UnsupportedException {
  private static final long serialVersionUID = 1L;

  InvalidInputException(String where, String expected, String found, String remedy) {
    super(where, expected, found, remedy);
  }
}

package dev.moxie.format.model;

/** A value that is none of those that a member may have; a later version of the format may know. */
public final class UnknownValueException extends IllegalArgumentException {
  private static final long serialVersionUID = 1L;

  /** Composes what {@link IllegalArgumentException}s of this package say. */
  public UnknownValueException(String member, Object expected, Object found) {
    super(member + ": expected " + expected + ", found " + found);
  }
}

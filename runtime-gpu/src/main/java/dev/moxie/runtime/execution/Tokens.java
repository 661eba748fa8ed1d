package dev.moxie.runtime.execution;

/** What may be appended to a sequence. */
final class Tokens {
  private Tokens() {}

  /**
   * Makes sure that tokens are some of a vocabulary and fit a sequence.
   *
   * @param length tokens that it has
   * @param capacity tokens that it may have
   */
  static void require(long[] ids, int vocabulary, int length, int capacity) {
    for (long id : ids) {
      if (id < 0 || id >= vocabulary) {
        throw new IllegalArgumentException("token " + id + " is not among the " + vocabulary);
      }
    }
    if (ids.length < 1 || ids.length > capacity - length) {
      throw new IllegalArgumentException(
          ids.length + " more tokens do not fit a sequence of " + capacity + " that has " + length);
    }
  }
}

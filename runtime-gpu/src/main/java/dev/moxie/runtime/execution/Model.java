package dev.moxie.runtime.execution;

/** A package, ready to run: one sequence at a time. */
public interface Model extends AutoCloseable {
  /**
   * Begins an empty sequence, forgetting the one before.
   *
   * @param capacity tokens that the key/value cache must hold
   */
  void begin(int capacity);

  /**
   * Appends tokens to the sequence.
   *
   * @param ids the new tokens, at least one
   * @return logits after each new token, [ids.length · V]
   */
  float[] append(long[] ids);

  /**
   * As {@link #append}, but only what is needed to go on.
   *
   * @return logits after the last new token, [V]; the caller's until the next call
   */
  float[] next(long[] ids);

  /** Tokens in the sequence. */
  int length();

  @Override
  void close();
}

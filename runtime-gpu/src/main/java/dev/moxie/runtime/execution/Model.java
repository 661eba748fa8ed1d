package dev.moxie.runtime.execution;

import dev.moxie.format.error.UnsupportedException;
import java.util.Arrays;

/** A package, ready to run: one sequence at a time. */
public interface Model extends AutoCloseable {
  /**
   * Begins an empty sequence, forgetting the one before.
   *
   * @param capacity tokens that the key/value cache must hold
   */
  void begin(int capacity);

  /**
   * Has the encoder read a text, which all sequences go with from now on, and begins one.
   *
   * @throws UnsupportedException if the model has no encoder
   */
  default void read(long[] text) {
    throw new UnsupportedException(
        "a text for an encoder", "a model that has one", "none", "pass the text as a prompt");
  }

  /**
   * Has tokens show an image from now on: all of them are appended at once, each as any id.
   *
   * @param patches of all tokens but the first, [T − 1 · P]
   * @throws UnsupportedException if the model reads none
   */
  default void see(float[] patches) {
    throw new UnsupportedException(
        "an image", "a model that reads one", "another", "pass token ids to it");
  }

  /**
   * Appends tokens to the sequence.
   *
   * @param ids the new tokens, at least one
   * @return logits after each new token, [ids.length · V], or of an image, [V]
   */
  float[] append(long[] ids);

  /**
   * As {@link #append}, but only what is needed to go on.
   *
   * @return logits after the last new token, [V]; the caller's until the next call
   */
  default float[] next(long[] ids) {
    float[] logits = append(ids);
    return Arrays.copyOfRange(logits, logits.length - logits.length / ids.length, logits.length);
  }

  /** Tokens in the sequence. */
  int length();

  @Override
  void close();
}

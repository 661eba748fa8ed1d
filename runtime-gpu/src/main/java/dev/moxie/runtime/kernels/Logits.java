package dev.moxie.runtime.kernels;

import dev.moxie.format.error.EnvironmentException;

/** What a model says of the next token. */
public final class Logits {
  /** The bits of infinity; of what is no number they are larger. */
  private static final int INFINITE = 0x7f800000;

  private Logits() {}

  /**
   * Makes sure that something can be chosen by them.
   *
   * @param where which model computed them, and how
   * @throws EnvironmentException if one is no finite number
   */
  public static void requireFinite(String where, float[] logits) {
    int largest = 0;
    for (float logit : logits) {
      largest = Math.max(largest, Float.floatToRawIntBits(logit) & Integer.MAX_VALUE);
    }
    if (largest >= INFINITE) {
      throw new EnvironmentException(
          where,
          "logits that are finite numbers",
          "some that are not",
          "use --device cpu, and report this");
    }
  }
}

package dev.moxie.runtime.execution;

import java.util.Arrays;

/**
 * What routers decided about tokens that follow each other. A layer that has fewer experts than
 * another, or none, has −1 for the rest.
 *
 * @param experts best first, [tokens, layers, {@link Sequences#expertsPerLayer}]
 * @param weights of these, 0 for the rest, in the same places; empty where nobody asks
 * @param margins how close each choice was ({@link Margin#gap}), NaN where nothing is rejected,
 *     [tokens, layers]; empty where nobody asks
 */
@SuppressWarnings("ArrayRecordComponent") // Written into and handed on, never compared.
public record Routes(int[] experts, float[] weights, float[] margins) {
  /** Of no tokens. */
  public static final Routes NONE = new Routes(new int[0], new float[0], new float[0]);

  /** Whether there are none, where nobody asks or the model has no experts. */
  public boolean isEmpty() {
    return experts.length == 0;
  }

  /** Whether somebody asks how close choices were. */
  boolean areDecisions() {
    return margins.length > 0;
  }

  /**
   * These and some later ones.
   *
   * @param tokens of the later ones
   * @param from which of those is the first one taken
   * @param until which is the first one left out again
   */
  public Routes plus(Routes later, int tokens, int from, int until) {
    int experts = later.experts.length / tokens;
    int weights = later.weights.length / tokens;
    int margins = later.margins.length / tokens;
    return new Routes(
        plus(this.experts, later.experts, from * experts, until * experts),
        plus(this.weights, later.weights, from * weights, until * weights),
        plus(this.margins, later.margins, from * margins, until * margins));
  }

  private static int[] plus(int[] some, int[] more, int from, int until) {
    int[] all = Arrays.copyOf(some, some.length + until - from);
    System.arraycopy(more, from, all, some.length, until - from);
    return all;
  }

  private static float[] plus(float[] some, float[] more, int from, int until) {
    float[] all = Arrays.copyOf(some, some.length + until - from);
    System.arraycopy(more, from, all, some.length, until - from);
    return all;
  }
}

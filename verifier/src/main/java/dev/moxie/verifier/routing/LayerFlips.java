package dev.moxie.verifier.routing;

import org.jspecify.annotations.Nullable;

/**
 * How often two models whose routers have the same experts choose others for the same tokens, each
 * on its own hidden states: what an earlier layer changed counts as well.
 *
 * @param decisions tokens
 * @param flipped those for which the sets of experts differ
 * @param close of them, those whose margin in the model compared with is below the median margin
 * @param overlap experts in common, over all chosen
 * @param medianMargin of all decisions of the model compared with, rounded down to 9 significant
 *     bits; null where nothing is ever rejected
 * @param medianMarginOfFlipped likewise; null where nothing flipped
 */
public record LayerFlips(
    int layer,
    long decisions,
    long flipped,
    long close,
    double overlap,
    @Nullable Double medianMargin,
    @Nullable Double medianMarginOfFlipped) {

  /** Flipped decisions over all. */
  public double share() {
    return (double) flipped / decisions;
  }
}

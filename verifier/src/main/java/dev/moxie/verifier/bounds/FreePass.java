package dev.moxie.verifier.bounds;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import java.util.List;

/**
 * The oracle's forward pass from tokens to logits, routing for itself.
 *
 * @param logits [T, V]
 * @param firstUnclear the first token whose choice of experts rounding may change in some layer; T
 *     if there is none
 * @param largest magnitude of any hidden state; NaN if one is no number
 */
public record FreePass(Estimate logits, int firstUnclear, double largest) {

  /** Runs the oracle of an architecture. */
  public static FreePass of(Architecture architecture, Oracle oracle, long[] ids) {
    Estimate hidden = oracle.embed(ids);
    int clear = ids.length;
    double largest = hidden.largest();
    List<Architecture.Blocks> layers = architecture.layers();
    for (int layer = 0; layer < layers.size(); layer++) {
      Oracle.Layer result = oracle.layer(layer, hidden, null);
      if (result.mixture() != null
          && layers.get(layer).feedForward() instanceof FeedForward.MixtureOfExperts moe) {
        var selection = new Selection(moe.routing(), result.mixture().routed());
        clear = Math.min(clear, selection.firstUnclear());
      }
      hidden = result.output();
      largest = Math.max(largest, hidden.largest());
    }
    return new FreePass(oracle.head(hidden), clear, largest);
  }
}

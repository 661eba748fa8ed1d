package dev.moxie.verifier.bounds;

import dev.moxie.format.model.Architecture;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Texts;
import java.util.Set;

/**
 * The oracle's forward pass from tokens to logits, routing for itself.
 *
 * @param logits [T, V]
 * @param firstUnclear the first token whose choice of experts, or of positions to see, rounding may
 *     change in some layer; T if there is none
 * @param largest magnitude of any hidden state; NaN if one is no number
 */
public record FreePass(Estimate logits, int firstUnclear, double largest) {

  /** Runs the oracle of an architecture; an encoder, where there is one, reads the same tokens. */
  public static FreePass of(Architecture architecture, Oracle oracle, long[] ids) {
    return of(architecture, oracle, new Texts(architecture.encoderLayers(), ids, ids));
  }

  /** Runs the oracle of an architecture. */
  public static FreePass of(Architecture architecture, Oracle first, Texts texts) {
    Oracle oracle = first;
    long[] ids = texts.ids();
    Estimate hidden = oracle.embed(texts.of(0));
    int clear = ids.length;
    double largest = hidden.largest();
    for (int layer = 0; layer < architecture.layers().size(); layer++) {
      if (texts.begin(layer)) {
        oracle = oracle.reading(hidden);
        hidden = oracle.embed(ids);
      }
      int tokens = texts.of(layer).length;
      Oracle.Layer result = oracle.layer(layer, texts.of(layer), hidden, null);
      Architecture.Blocks blocks = architecture.layers().get(layer);
      clear = reached(clear, blocks, result.firstUndecided(), tokens);
      if (result.routed() != null) {
        clear = reached(clear, blocks, Selection.of(result).firstUnclear(), tokens);
      }
      hidden = result.output();
      largest = Math.max(largest, hidden.largest());
    }
    return new FreePass(oracle.head(hidden), clear, largest);
  }

  private static int reached(int clear, Architecture.Blocks blocks, int token, int tokens) {
    return token < tokens ? Math.min(clear, blocks.reached(token, tokens)) : clear;
  }

  /**
   * Whether rounding may decide which of two tokens comes next: routing is unclear on the way
   * there, or no other token's logit exceeds those of either one by more than the bound.
   *
   * @param endTokens which never come next
   */
  public boolean mayDecide(Set<Long> endTokens, long one, long other) {
    return firstUnclear < logits.rows() || (mayLead(endTokens, one) && mayLead(endTokens, other));
  }

  private boolean mayLead(Set<Long> endTokens, long token) {
    int last = logits.rows() - 1;
    int word = Math.toIntExact(token);
    for (int v = 0; v < logits.columns(); v++) {
      double error = Math.hypot(logits.error(last, v), logits.error(last, word));
      double gap = logits.value(last, v) - logits.value(last, word);
      // What is no number is no rounding either.
      if (!endTokens.contains((long) v) && !(gap <= Tolerance.bound(error, logits.columns()))) {
        return false;
      }
    }
    return true;
  }
}

package dev.moxie.verifier.reference;

import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.util.HashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Classifies routing decisions. Sets of expert ids are compared, never sorted weights. */
final class RoutingTally {
  private int decisions;
  private int match;
  private int tie;
  private int mismatch;
  private long common;
  private long chosen;
  private double smallestMargin = Double.POSITIVE_INFINITY;
  private final Set<Integer> tokens = new HashSet<>();
  private @Nullable Integer firstDivergentLayer;
  private int firstTiedToken = Integer.MAX_VALUE;

  /**
   * Adds one token's decision in one layer.
   *
   * @param selection what rounding allows in that layer
   */
  void add(int layer, int token, int[] actual, int[] expected, Selection selection) {
    decisions++;
    Set<Integer> ours = set(actual);
    Set<Integer> theirs = set(expected);
    chosen += theirs.size();
    smallestMargin = Math.min(smallestMargin, selection.margin(token));
    Set<Integer> shared = new HashSet<>(ours);
    shared.retainAll(theirs);
    common += shared.size();
    if (ours.equals(theirs)) {
      match++;
      return;
    }
    tokens.add(token);
    if (firstDivergentLayer == null || layer < firstDivergentLayer) {
      firstDivergentLayer = layer;
    }
    if (selection.mayChoose(token, ours) && selection.mayChoose(token, theirs)) {
      tie++;
      firstTiedToken = Math.min(firstTiedToken, token);
    } else {
      mismatch++;
    }
  }

  static Set<Integer> set(int[] experts) {
    Set<Integer> set = new HashSet<>();
    for (int expert : experts) {
      set.add(expert);
    }
    return set;
  }

  /** The first token with a tie in any layer; beyond all tokens if there is none. */
  int firstTiedToken() {
    return firstTiedToken;
  }

  Report.Routing report() {
    return new Report.Routing(
        Verdict.of(mismatch == 0),
        decisions,
        match,
        tie,
        mismatch,
        chosen == 0 ? 1 : (double) common / chosen,
        tokens.size(),
        firstDivergentLayer,
        Double.isInfinite(smallestMargin) ? null : smallestMargin);
  }
}

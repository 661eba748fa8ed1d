package dev.moxie.verifier.reference;

import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.util.Arrays;
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
   * @param scores the oracle's, whose row {@code token} has all experts
   */
  void add(int layer, int token, int[] actual, int[] expected, Estimate scores) {
    decisions++;
    Set<Integer> ours = set(actual);
    Set<Integer> theirs = set(expected);
    chosen += theirs.size();
    smallestMargin = Math.min(smallestMargin, margin(scores, token, theirs.size()));
    Set<Integer> onlyOurs = new HashSet<>(ours);
    onlyOurs.removeAll(theirs);
    Set<Integer> onlyTheirs = new HashSet<>(theirs);
    onlyTheirs.removeAll(ours);
    common += theirs.size() - onlyTheirs.size();
    if (onlyOurs.isEmpty() && onlyTheirs.isEmpty()) {
      match++;
      return;
    }
    tokens.add(token);
    if (firstDivergentLayer == null || layer < firstDivergentLayer) {
      firstDivergentLayer = layer;
    }
    if (isTie(scores, token, onlyOurs, onlyTheirs)) {
      tie++;
      firstTiedToken = Math.min(firstTiedToken, token);
    } else {
      mismatch++;
    }
  }

  /** Whether rounding may have exchanged every expert of one set for every one of the other. */
  private static boolean isTie(
      Estimate scores, int token, Set<Integer> onlyOurs, Set<Integer> onlyTheirs) {
    if (onlyOurs.size() != onlyTheirs.size()) {
      return false;
    }
    for (int a : onlyOurs) {
      for (int b : onlyTheirs) {
        if (!Tolerance.mayExchange(scores, token, a, b)) {
          return false;
        }
      }
    }
    return true;
  }

  /** Gap between the last chosen score and the first rejected one. */
  private static double margin(Estimate scores, int token, int k) {
    double[] sorted = new double[scores.columns()];
    for (int e = 0; e < sorted.length; e++) {
      sorted[e] = -scores.value(token, e);
    }
    Arrays.sort(sorted);
    return k < sorted.length ? sorted[k] - sorted[k - 1] : Double.POSITIVE_INFINITY;
  }

  private static Set<Integer> set(int[] experts) {
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
        (double) common / chosen,
        tokens.size(),
        firstDivergentLayer,
        Double.isInfinite(smallestMargin) ? null : smallestMargin);
  }
}

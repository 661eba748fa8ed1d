package dev.moxie.verifier.diagnosis;

import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Which column of one matrix is which of another: rows of a weight matrix that moved. */
final class Columns {
  /** Every column is tried for every other. */
  private static final int MOST = 4096;

  private Columns() {}

  /**
   * By column of the expected matrix, the column of the actual one that holds its values; empty if
   * some column is nowhere or in two places, if all are in their place, or if there are too many to
   * try.
   */
  static Optional<Map<Integer, Integer>> moved(Estimate actual, Estimate expected) {
    if (expected.columns() > MOST) {
      return Optional.empty();
    }
    Map<Integer, Integer> sources = new TreeMap<>();
    boolean moved = false;
    for (int column = 0; column < expected.columns(); column++) {
      int source = column;
      for (int i = 0; i < actual.columns() && !same(actual, source, expected, column); i++) {
        source = i;
      }
      if (!same(actual, source, expected, column)) {
        return Optional.empty();
      }
      sources.put(column, source);
      moved |= source != column;
    }
    boolean different = new HashSet<>(sources.values()).size() == sources.size();
    return moved && different ? Optional.of(sources) : Optional.empty();
  }

  private static boolean same(Estimate actual, int source, Estimate expected, int column) {
    long elements = (long) actual.rows() * actual.columns();
    for (int r = 0; r < actual.rows(); r++) {
      double difference = Math.abs(actual.value(r, source) - expected.value(r, column));
      if (!(difference <= Tolerance.bound(actual.error(r, source), elements))) {
        return false;
      }
    }
    return true;
  }
}

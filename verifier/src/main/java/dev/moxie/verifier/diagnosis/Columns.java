package dev.moxie.verifier.diagnosis;

import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Which column of one matrix is which of another: rows of a weight matrix that moved. */
final class Columns {
  private Columns() {}

  /**
   * By column of the expected matrix, the column of the actual one that holds its values; empty if
   * some column is nowhere, or if all are in their place.
   */
  static Optional<Map<Integer, Integer>> moved(Estimate actual, Estimate expected) {
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
    return moved ? Optional.of(sources) : Optional.empty();
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

package dev.moxie.verifier.bench;

import java.util.List;

/** Of numbers that were measured. */
final class Quantile {
  private Quantile() {}

  /** The number that a share of all does not exceed. */
  static double of(List<Double> numbers, double share) {
    List<Double> sorted = numbers.stream().sorted().toList();
    return sorted.get((int) Math.ceil(share * (sorted.size() - 1)));
  }

  static double median(List<Double> numbers) {
    return of(numbers, 0.5);
  }
}

package dev.moxie.verifier.reference;

import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Verdict;

/**
 * From the oracle's standard deviations to bounds. Two right implementations differ by two
 * independent errors, so each element's difference has standard deviation √2·e; the bound is as
 * many of those that a normal variable exceeds it anywhere among N compared elements with
 * probability at most {@link #FALSE_ALARM}: by the union bound and the Gaussian tail, λ(N) = sqrt(2
 * ln(2 N / FALSE_ALARM)).
 */
public final class Tolerance {
  /** Probability that rounding alone makes one comparison fail. */
  static final double FALSE_ALARM = 1e-9;

  private Tolerance() {}

  /** λ(N), in standard deviations. */
  static double deviations(long elements) {
    return Math.sqrt(2 * Math.log(2.0 * elements / FALSE_ALARM));
  }

  /** Bound of the difference of two implementations, for an error among so many. */
  static double bound(double error, long elements) {
    return deviations(elements) * Math.sqrt(2) * error;
  }

  /** The rule as a report prints it. */
  static String describe(double unitRoundoff) {
    return "bound = sqrt(2 ln(2N/%.0e)) · sqrt(2) · e, e from the oracle with u = 2^%d"
        .formatted(FALSE_ALARM, Math.getExponent(unitRoundoff));
  }

  /**
   * Compares element by element.
   *
   * @param actual what this runtime computed, row-major like {@code estimate}
   * @param expected what the reference computed
   */
  public static Comparison compare(float[] actual, float[] expected, Estimate estimate) {
    double maxAbs = 0;
    double largest = 0;
    double largestBound = 0;
    var worst = new Comparison.Element(0, 0, actual[0], expected[0], 0);
    double worstRatio = -1;
    for (int r = 0; r < estimate.rows(); r++) {
      for (int c = 0; c < estimate.columns(); c++) {
        int i = r * estimate.columns() + c;
        double bound = bound(estimate.error(r, c), expected.length);
        double difference = Math.abs((double) actual[i] - expected[i]);
        maxAbs = Math.max(maxAbs, difference);
        largest = Math.max(largest, Math.abs(expected[i]));
        largestBound = Math.max(largestBound, bound);
        var element = new Comparison.Element(r, c, actual[i], expected[i], bound);
        // NaN compares as neither: it must win.
        if (!(element.ratio() <= worstRatio)) {
          worst = element;
          worstRatio = element.ratio();
        }
        if (Double.isNaN(difference)) {
          return new Comparison(difference, difference, bound, Verdict.FAIL, element);
        }
      }
    }
    return new Comparison(
        maxAbs,
        largest == 0 ? 0 : maxAbs / largest,
        largestBound,
        Verdict.of(worstRatio <= 1),
        worst);
  }
}

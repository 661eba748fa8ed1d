package dev.moxie.verifier.bounds;

import dev.moxie.format.pack.Manifest;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Precisions;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Verdict;
import java.util.Objects;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

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
  public static double bound(double error, long elements) {
    return deviations(elements) * Math.sqrt(2) * error;
  }

  /**
   * Bound that more than half of so many differences exceed with probability at most {@link
   * #FALSE_ALARM}, whatever a few are. One exceeds x standard deviations with probability at most p
   * = 2 exp(-x²/2); any given m = ⌊n/2⌋ + 1 of n do with pᵐ, and there are at most 2ⁿ ways to give
   * them, so x² = 2 (ln 2 + (n ln 2 - ln FALSE_ALARM) / m).
   */
  public static double boundOfMost(double error, int differences) {
    double majority = differences / 2 + 1;
    double ways = differences * Math.log(2);
    double exponent = (ways - Math.log(FALSE_ALARM)) / majority;
    return Math.sqrt(2 * (Math.log(2) + exponent)) * Math.sqrt(2) * error;
  }

  /** The rule as a report prints it. */
  public static String describe(
      Precisions precisions,
      Manifest.@Nullable Cast cast,
      Manifest.@Nullable Quantisation quantisation) {
    int reference = Math.getExponent(precisions.reference().roundoff());
    int runtime = Math.getExponent(precisions.runtime().roundoff());
    String rule =
        precisions.alike()
            ? "bound = sqrt(2 ln(2N/%.0e)) · sqrt(2) · e, e from the oracle with u = 2^%d"
                .formatted(FALSE_ALARM, reference)
            : ("bound = sqrt(2 ln(2N/%.0e)) · sqrt(e² + f²), from the oracle, e with u = 2^%d for"
                    + " the reference and f with u = 2^%d for this runtime")
                .formatted(FALSE_ALARM, reference, runtime);
    String rounded =
        cast == null || cast.dtype() == Dtype.F32
            ? ""
            : ", and with weights that conversion rounded to " + cast.dtype();
    return quantisation == null
        ? rule + rounded
        : rule + rounded + ", and with some that it quantised to " + quantisation.encoding();
  }

  /**
   * Compares element by element, but for rows to which nothing can be held. Fails if any difference
   * exceeds its bound or is no number, and if the bounds are no smaller than the values themselves:
   * such a comparison would show nothing. Where nothing can be held to any row, it is not judged.
   *
   * @param actual what this runtime computed, row-major; at least {@code rows} rows
   * @param expected what the reference computed, likewise
   * @param estimate the oracle's, likewise
   * @param rows how many rows to compare, at least one
   * @param factor that bounds are multiplied by
   */
  public static Comparison compare(
      float[] actual, float[] expected, Estimate estimate, int rows, double factor) {
    double maxAbs = 0;
    double largest = 0;
    double largestBound = 0;
    boolean holds = true;
    Comparison.@Nullable Element worst = null;
    boolean judged = IntStream.range(0, rows).anyMatch(estimate::holds);
    for (int i = 0; i < rows * estimate.columns(); i++) {
      int row = i / estimate.columns();
      int column = i % estimate.columns();
      if (judged && !estimate.holds(row)) {
        continue;
      }
      double bound = factor * bound(estimate.error(row, column), expected.length);
      var element = new Comparison.Element(row, column, actual[i], expected[i], bound);
      double difference = Math.abs(element.actual() - element.expected());
      maxAbs = Math.max(maxAbs, difference);
      largest = Math.max(largest, Math.abs(element.expected()));
      largestBound = Math.max(largestBound, bound);
      holds &= Double.isFinite(bound) && element.ratio() <= 1;
      if (worst == null || element.isWorseThan(worst)) {
        worst = element;
      }
    }
    boolean tells = largestBound < largest || maxAbs == 0;
    var comparison =
        new Comparison(
            maxAbs,
            largest == 0 ? 0 : maxAbs / largest,
            largestBound,
            tells,
            Verdict.of(holds && tells),
            Objects.requireNonNull(worst));
    return judged ? comparison : comparison.notJudged();
  }

  /** Compares the first rows. */
  public static Comparison compare(float[] actual, float[] expected, Estimate estimate, int rows) {
    return compare(actual, expected, estimate, rows, 1);
  }

  /** Compares all rows. */
  public static Comparison compare(float[] actual, float[] expected, Estimate estimate) {
    return compare(actual, expected, estimate, estimate.rows());
  }
}

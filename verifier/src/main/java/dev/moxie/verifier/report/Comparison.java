package dev.moxie.verifier.report;

/**
 * Two tensors compared element by element, each element against its own bound.
 *
 * @param maxAbs largest |actual − expected|
 * @param maxRel {@code maxAbs} over the largest |expected|
 * @param bound largest bound of any element
 * @param telling whether bounds are smaller than the values; if not, the comparison shows nothing
 * @param verdict fail if any element exceeds its own bound, or if the comparison shows nothing
 * @param worst the element nearest to its bound, or furthest above it
 */
public record Comparison(
    double maxAbs, double maxRel, double bound, boolean telling, Verdict verdict, Element worst) {

  /**
   * One element, with where it stands.
   *
   * @param token row
   * @param index column
   */
  public record Element(int token, int index, double actual, double expected, double bound) {
    /** The difference as a multiple of the bound. */
    public double ratio() {
      double difference = Math.abs(actual - expected);
      return difference == 0 ? 0 : difference / bound;
    }

    /** Whether this one is nearer to failing; what is no number has failed. */
    public boolean isWorseThan(Element other) {
      return !Double.isNaN(other.ratio()) && !(ratio() <= other.ratio());
    }
  }

  /**
   * The same comparison where showing nothing is no failure: an element beyond its bound still is.
   */
  public Comparison tolerant() {
    return new Comparison(
        maxAbs,
        maxRel,
        bound,
        telling,
        Verdict.of(worst.ratio() <= 1 && Double.isFinite(bound)),
        worst);
  }

  /** The same comparison where both sides may rightly differ by any amount, if by a number. */
  public Comparison notJudged() {
    return new Comparison(
        maxAbs, maxRel, bound, false, Verdict.of(Double.isFinite(worst.ratio())), worst);
  }

  /** The one of two that is nearer to failing. */
  public Comparison worse(Comparison other) {
    if (verdict != other.verdict) {
      return verdict.passed() ? other : this;
    }
    return other.worst.isWorseThan(worst) ? other : this;
  }
}

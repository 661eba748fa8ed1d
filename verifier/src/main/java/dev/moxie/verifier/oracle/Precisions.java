package dev.moxie.verifier.oracle;

/**
 * In what two implementations compute that are held to each other. What they differ by has the
 * variance of both errors, e² + f². Estimates carry the root of the mean of both squares, √2 times
 * which is the deviation of the difference, as between two implementations of one precision. Since
 * errors propagate to first order, their squares in proportion to those of unit roundoffs, the same
 * mean of the latter, and of what each rounds off weights, gives it in one pass.
 *
 * @param runtime of what is verified
 */
public record Precisions(Precision reference, Precision runtime) {

  /** Two implementations of one precision. */
  public static Precisions of(Precision both) {
    return new Precisions(both, both);
  }

  /** Whether both are one. */
  public boolean alike() {
    return reference == runtime;
  }

  /** What both take from a number that neither computed. */
  double roundedOff(double value) {
    return mean(reference.roundedOff(value), runtime.roundedOff(value));
  }

  /** The root mean square of what is so large in one and in the other. */
  double mean(double ofReference, double ofRuntime) {
    return alike()
        ? ofReference
        : Math.sqrt((ofReference * ofReference + ofRuntime * ofRuntime) / 2);
  }
}

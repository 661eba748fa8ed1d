package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Figures;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * A cause, and the model as it would be without it.
 *
 * @param cause completes the sentence "Looks like …"
 */
record Suspect(String cause, Architecture architecture, Weights weights) {

  /** Weights that are not what they are called. */
  static Suspect of(String cause, Evidence evidence, Weights.Supposition supposition) {
    return new Suspect(cause, evidence.architecture(), evidence.weights().supposing(supposition));
  }

  /** An architecture that is another. */
  static Suspect of(String cause, Evidence evidence, Architecture other) {
    return new Suspect(cause, other, evidence.weights());
  }

  /** A part of the architecture that is another. */
  static Suspect of(String cause, Evidence evidence, UnaryOperator<Architecture.Blocks> change) {
    return new Suspect(cause, evidence.architecture().withBlocks(change), evidence.weights());
  }

  /**
   * A tensor that is so many times the reference's; none if the factor says nothing.
   *
   * @param what the tensor, as the sentence names it
   * @param quotient the reference's over the package's
   */
  static Stream<Suspect> factor(String what, String tensor, double quotient, Evidence evidence) {
    if (!Difference.tells(quotient, evidence.precision())) {
      return Stream.of();
    }
    return Stream.of(
        of(
            what + " off by a factor of " + Figures.number(1 / quotient),
            evidence,
            (row, stored) ->
                row.name().equals(tensor) ? stored.get(row).times(quotient) : stored.get(row)));
  }
}

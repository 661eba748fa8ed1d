package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Figures;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * A cause, and the model as it would be without it.
 *
 * @param cause completes the sentence "Looks like …"
 */
record Suspect(String cause, Architecture architecture, Weights weights) {

  /** An architecture that is another. */
  static Suspect of(String cause, Evidence evidence, Architecture other) {
    return new Suspect(cause, other, evidence.weights());
  }

  static Suspect of(Mistakes.Mistake mistake, Evidence evidence) {
    return of(mistake.cause(), evidence, mistake.right());
  }

  /** Weights that are not what they are called. */
  static Suspect of(String cause, Evidence evidence, Weights.Supposition supposition) {
    return new Suspect(cause, evidence.architecture(), evidence.weights().supposing(supposition));
  }

  /** Some of them. */
  static Suspect of(
      String cause, Evidence evidence, Predicate<IndexRow> which, Weights.Supposition supposition) {
    return of(
        cause,
        evidence,
        (row, stored) -> which.test(row) ? supposition.apply(row, stored) : stored.get(row));
  }

  /** Weights each of which stands in the place of another. */
  static Suspect exchange(String cause, Evidence evidence, UnaryOperator<IndexRow> other) {
    return of(cause, evidence, (row, stored) -> stored.get(other.apply(row)));
  }

  /**
   * A tensor that is so many times the reference's; none if the factor says nothing.
   *
   * @param what the tensor, as the sentence names it
   * @param quotient the reference's over the package's
   */
  static Stream<Suspect> factor(String what, String tensor, double quotient, Evidence evidence) {
    return Difference.tells(quotient, evidence.precision())
        ? Stream.of(
            of(
                what + " off by a factor of " + Figures.number(1 / quotient),
                evidence,
                row -> row.name().equals(tensor),
                (row, stored) -> stored.get(row).times(quotient)))
        : Stream.of();
  }

  /**
   * A tensor whose rows stand elsewhere.
   *
   * @param sources by row of the reference, that of the package
   */
  static Suspect moved(
      String what, String tensor, Map<Integer, Integer> sources, int rows, Evidence evidence) {
    return of(
        new Assignment(what, sources, rows).words(),
        evidence,
        row -> row.name().equals(tensor),
        (row, stored) -> stored.get(row).reordered(r -> Objects.requireNonNull(sources.get(r))));
  }
}

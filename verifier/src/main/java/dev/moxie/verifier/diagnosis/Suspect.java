package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.verifier.oracle.Weights;
import java.util.function.UnaryOperator;

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

  /** A part of the architecture that is another. */
  static Suspect of(String cause, Evidence evidence, UnaryOperator<Architecture.Blocks> change) {
    return new Suspect(cause, evidence.architecture().withBlocks(change), evidence.weights());
  }
}

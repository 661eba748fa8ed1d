package dev.moxie.verifier;

import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.Opening;

/**
 * For checks that hold a model's numbers to the oracle, or to what one that was held to it
 * computed, and report what differs: a refusal to open the model would take the place of that
 * report.
 */
public final class ProofByReport implements LoweringProof {
  @Override
  public <M extends Model> M require(Opening opening, M model) {
    return model;
  }
}

package dev.moxie.verifier;

import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.Opening;

/** Opens any model, for tests that hold it to something themselves. */
public final class Unproven implements LoweringProof {
  @Override
  public <M extends Model> M require(Opening opening, M model) {
    return model;
  }
}

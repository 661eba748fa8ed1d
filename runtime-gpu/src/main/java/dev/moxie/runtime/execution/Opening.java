package dev.moxie.runtime.execution;

import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Target;

/**
 * A package that is opened, and the way in which it is.
 *
 * @param target what the graph is built for; of the plain execution, which has none, the CPU
 * @param permuted whether its experts stand in another order ({@link ExpertOrder})
 */
public record Opening(
    MoxiePackage pack, Execution execution, Device device, Target target, boolean permuted) {

  /** Hands out a model once it is proven; another one is closed. */
  <M extends Model> M proven(M model, LoweringProof proof) {
    try {
      return proof.require(this, model);
    } catch (RuntimeException | Error e) {
      model.close();
      throw e;
    }
  }
}

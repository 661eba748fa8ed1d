package dev.moxie.runtime.execution;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;

/**
 * What opening a model takes: somebody who vouches that what was made of the package computes the
 * package's numbers. The runtime does not know how that is found out, and lets nobody have a model
 * without it.
 */
public interface LoweringProof {
  /**
   * Lets a model through. The method is generic so that no lambda can take its place: whoever
   * vouches is a class with a name.
   *
   * @param opening what was opened, and how
   * @param model the result; what sequence it has then is open
   * @return that model
   * @throws UnsupportedException if the package's numbers are none that can be computed with
   * @throws EnvironmentException if the model computes something else
   */
  <M extends Model> M require(Opening opening, M model);
}

package dev.moxie.runtime.lowering;

import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.TensorSpec.Leaf;

/** Where a graph finds what a forward pass names: values in the compute dtype. */
interface Weights {
  /** A matrix or vector. */
  String of(Leaf leaf);

  /** A matrix that activations are multiplied with as a whole. */
  String matrix(Leaf leaf);

  /** A whole stack. */
  String stack(TensorSpec tensor);

  /** A stack of gate rows then up rows, [E, 2I, ..], with these rows alternating. */
  String alternating(TensorSpec tensor);

  /** A vector in float32, whatever the rest computes in. */
  String inF32(Leaf leaf);

  /** Rows of a matrix by index. */
  String gathered(Leaf table, String ids);
}

package dev.moxie.runtime.plain;

import dev.moxie.format.model.TensorSpec.Leaf;
import java.lang.foreign.MemorySegment;

/** Where a program finds what a forward pass names. */
@FunctionalInterface
public interface Weights {
  /** A matrix, or a vector as a matrix of one row. */
  StoredMatrix matrix(Leaf leaf);

  /** Where a mapped matrix lies, whose bytes are not looked at; empty for one that is not. */
  default MemorySegment place(Leaf leaf) {
    return MemorySegment.NULL;
  }

  /** A vector, widened. */
  default float[] vector(Leaf leaf) {
    StoredMatrix matrix = matrix(leaf);
    float[] vector = new float[matrix.columns()];
    matrix.read(0, vector, 0);
    return vector;
  }
}

package dev.moxie.runtime.plain;

import dev.moxie.format.model.TensorSpec.Leaf;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** Where a program finds what a forward pass names. */
@FunctionalInterface
public interface Weights {
  /** A matrix, or a vector as a matrix of one row. */
  StoredMatrix matrix(Leaf leaf);

  /**
   * Where a matrix is mapped, the scales of its blocks included; no byte is looked at. Only weights
   * whose memory has a limit are asked.
   */
  default List<MemorySegment> places(Leaf leaf) {
    throw new UnsupportedOperationException();
  }

  /** A vector, widened. */
  default float[] vector(Leaf leaf) {
    StoredMatrix matrix = matrix(leaf);
    float[] vector = new float[matrix.columns()];
    matrix.read(0, vector, 0);
    return vector;
  }
}

package dev.moxie.runtime.lowering;

import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.TensorSpec.Leaf;

/** For parts of a pass that read no weights but, at most, a bias in float32. */
record NoWeights(String bias) implements Weights {
  @Override
  public String of(Leaf leaf) {
    throw new UnsupportedOperationException();
  }

  @Override
  public String stack(TensorSpec tensor) {
    throw new UnsupportedOperationException();
  }

  @Override
  public String matrix(Leaf leaf) {
    throw new UnsupportedOperationException();
  }

  @Override
  public String alternating(TensorSpec tensor) {
    throw new UnsupportedOperationException();
  }

  @Override
  public String inF32(Leaf leaf) {
    return bias;
  }

  @Override
  public String gathered(Leaf table, String ids) {
    throw new UnsupportedOperationException();
  }
}

package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.safetensors.Dtype;

/** What happens to the bytes of a source tensor on their way into the package. */
public sealed interface Transform {
  /** The name in the tensor index. */
  String id();

  /** Nothing. */
  record Copy() implements Transform {
    @Override
    public String id() {
      return IndexRow.COPY;
    }
  }

  /** Every element in another dtype, rounded to nearest, ties to even. */
  record Cast(Dtype to) implements Transform {
    @Override
    public String id() {
      return IndexRow.CAST;
    }
  }

  /**
   * Every e4m3 element times the scale of its block, rounded to float32 and then to another dtype,
   * each time to nearest, ties to even.
   *
   * @param scales the grid of scales
   * @param columns of the matrix
   */
  record Dequantise(SourceTensor scales, long columns, Dtype to) implements Transform {
    @Override
    public String id() {
      return IndexRow.DEQUANTISE_FP8_BLOCK;
    }
  }
}

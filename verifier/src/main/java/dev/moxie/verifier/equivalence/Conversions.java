package dev.moxie.verifier.equivalence;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.plan.Transform;
import dev.moxie.format.model.Elements;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.verifier.oracle.Precision;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;
import java.util.function.LongToDoubleFunction;

/**
 * What elements must have become, computed in double precision and rounded here, sharing nothing
 * with the converter's arithmetic.
 */
final class Conversions {
  private final Function<SourceTensor, SafetensorsFile> files;

  Conversions(Function<SourceTensor, SafetensorsFile> files) {
    this.files = files;
  }

  /**
   * The first byte of a leaf that is not what its source becomes.
   *
   * @param found the leaf's bytes
   * @return −1 if there is none
   */
  long mismatch(SourceTensor source, Transform transform, MemorySegment found) {
    long count = source.shape().elements();
    return switch (transform) {
      case Transform.Copy copy -> data(source).mismatch(found);
      case Transform.Cast cast -> mismatch(found, cast.to(), count, elements(source)::get);
      case Transform.Dequantise to -> {
        Elements from = elements(source);
        Elements scales = elements(to.scales());
        long columns = to.columns();
        long grid = Fp8Blocks.blocks(columns);
        yield mismatch(
            found,
            to.to(),
            count,
            i -> {
              long block = i / columns / Fp8Blocks.SIZE * grid + i % columns / Fp8Blocks.SIZE;
              return (float) (from.get(i) * scales.get(block));
            });
      }
    };
  }

  private Elements elements(SourceTensor source) {
    return new Elements(source.name(), data(source), source.dtype());
  }

  private MemorySegment data(SourceTensor source) {
    SafetensorsFile file = files.apply(source);
    return file.data(file.require(source.name()));
  }

  private static long mismatch(
      MemorySegment found, Dtype dtype, long elements, LongToDoubleFunction expected) {
    long size = dtype.bits() / 8;
    if (found.byteSize() != elements * size) {
      return 0;
    }
    var actual = new Elements("package", found, dtype);
    for (long i = 0; i < elements; i++) {
      double value = expected.applyAsDouble(i);
      double rounded = dtype == Dtype.BF16 ? Precision.BF16.round(value) : (float) value;
      if (Double.compare(rounded, actual.get(i)) != 0) {
        return i * size;
      }
    }
    return -1;
  }
}

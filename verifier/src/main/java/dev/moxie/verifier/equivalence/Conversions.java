package dev.moxie.verifier.equivalence;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.plan.Transform;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.function.Function;
import java.util.function.LongToDoubleFunction;

/**
 * What elements must have become, computed in double precision and rounded here, sharing nothing
 * with the converter's arithmetic.
 */
final class Conversions {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

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
    MemorySegment from = data(source);
    return switch (transform) {
      case Transform.Copy copy -> from.mismatch(found);
      case Transform.Cast cast ->
          mismatch(
              found, cast.to(), source.shape().elements(), i -> element(from, source.dtype(), i));
      case Transform.Dequantise to -> {
        MemorySegment scales = data(to.scales());
        long columns = to.columns();
        long grid = Fp8Blocks.blocks(columns);
        yield mismatch(
            found,
            to.to(),
            source.shape().elements(),
            i -> {
              long block = i / columns / Fp8Blocks.SIZE * grid + i % columns / Fp8Blocks.SIZE;
              return (float) (element(from, source.dtype(), i) * element(scales, Dtype.F32, block));
            });
      }
    };
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
    for (long i = 0; i < elements; i++) {
      double value = expected.applyAsDouble(i);
      double rounded = dtype == Dtype.BF16 ? toBf16(value) : (float) value;
      if (Double.compare(rounded, element(found, dtype, i)) != 0) {
        return i * size;
      }
    }
    return -1;
  }

  private static double element(MemorySegment bytes, Dtype dtype, long i) {
    return switch (dtype) {
      case F32 -> bytes.get(FLOAT, i * 4);
      case BF16 -> Float.intBitsToFloat(bytes.get(SHORT, i * 2) << 16);
      case F16 -> Float.float16ToFloat(bytes.get(SHORT, i * 2));
      case F8_E4M3 -> Fp8Blocks.value(bytes.get(ValueLayout.JAVA_BYTE, i));
      default -> throw new IllegalArgumentException("no elements of " + dtype);
    };
  }

  /** The nearest bfloat16, of two as near the one whose significand is even. */
  static double toBf16(double value) {
    if (value == 0 || Double.isNaN(value) || Double.isInfinite(value)) {
      return value;
    }
    int last = Math.max(Math.getExponent(value), Float.MIN_EXPONENT) - 7;
    // What rounds up beyond the largest bfloat16 is 2¹²⁸, which the cast makes infinite.
    return (float) Math.scalb(Math.rint(Math.scalb(value, -last)), last);
  }
}

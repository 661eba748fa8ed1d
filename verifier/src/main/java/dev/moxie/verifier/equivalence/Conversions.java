package dev.moxie.verifier.equivalence;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.plan.Place;
import dev.moxie.converter.plan.Transform;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.encoding.Scales;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.MappedTensors;
import dev.moxie.format.view.View;
import dev.moxie.verifier.oracle.Precision;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.LongToDoubleFunction;

/**
 * What elements must have become, computed in double precision and rounded here, sharing nothing
 * with the converter's arithmetic.
 */
final class Conversions {
  private final Function<SourceTensor, MappedTensors> files;

  Conversions(Function<SourceTensor, MappedTensors> files) {
    this.files = files;
  }

  /**
   * Says what a leaf holds instead of what its source becomes.
   *
   * @param row of the leaf, of that encoding and shape
   * @return empty if it is that
   */
  Optional<String> flaw(Place place, Transform transform, MoxiePackage pack, IndexRow row) {
    MemorySegment found = pack.bytes(row);
    if (!(transform instanceof Transform.Quantise quantise)) {
      return first(mismatch(place, transform, found), found);
    }
    var leaf = new QuantisedLeaf(quantise, elements(place, quantise.read()));
    return switch (quantise.half()) {
      case VALUES ->
          pack.scales(row)
              .flatMap(
                  scales ->
                      leaf.flawOfValues(found, Scales.all(pack.bytes(scales), scales.dtype())));
      case SCALES -> leaf.flawOfScales(Scales.all(found, row.dtype()));
    };
  }

  /** Says from which byte on a leaf is another. */
  static Optional<String> first(long at, MemorySegment found) {
    return at < 0
        ? Optional.empty()
        : Optional.of("others from byte " + at + " of " + found.byteSize());
  }

  /** The first byte that is not what the source becomes; −1 if there is none. */
  private long mismatch(Place place, Transform transform, MemorySegment found) {
    return switch (transform) {
      case Transform.Copy copy ->
          place.view() == null ? data(place).mismatch(found) : mismatchOfView(place, found);
      case Transform.Cast cast ->
          mismatch(found, cast.to(), place.elements(), elements(place, cast));
      case Transform.Dequantise to ->
          mismatch(found, to.to(), elementsOf(place, to), elements(place, to));
      case Transform.Merge merge ->
          merged(place, merge).mismatch(found, merge.to(), elementsOf(place, merge));
      case Transform.Quantise quantise -> throw new IllegalArgumentException(quantise.id());
    };
  }

  private static long elementsOf(Place place, Transform transform) {
    return place.elements()
        * transform.decoding().map(decode -> decode.encoding().perValue()).orElse(1);
  }

  private MergedLeaf merged(Place place, Transform.Merge merge) {
    MappedTensors adapter = files.apply(merge.update().left().tensor());
    return new MergedLeaf(elements(place, merge.read()), merge, adapter);
  }

  /** The elements that a transform makes or rounds. */
  private LongToDoubleFunction elements(Place place, Transform transform) {
    if (transform instanceof Transform.Merge merge) {
      MergedLeaf leaf = merged(place, merge);
      return i -> (float) leaf.value(i);
    }
    if (transform instanceof Transform.Dequantise decode) {
      return decoded(place, decode);
    }
    SourceTensor source = place.tensor();
    Elements elements = Elements.plain(source.name(), data(place), source.dtype());
    Places places = places(place);
    return i -> elements.get(places.of(i));
  }

  private LongToDoubleFunction decoded(Place place, Transform.Dequantise to) {
    BlockScaled encoding = to.encoding();
    MemorySegment values = data(place);
    MemorySegment grid = data(to.scales());
    Places ofValues = places(place);
    Places ofScales = places(to.scales());
    Dtype scaleDtype = to.scales().tensor().dtype();
    Elements scaled = Elements.scaled(encoding, values, grid, scaleDtype, to.columns());
    long across = Math.ceilDiv(to.columns(), encoding.blockColumns());
    int per = encoding.perValue();
    return i -> {
      long block =
          i / to.columns() / encoding.blockRows() * across
              + i % to.columns() / encoding.blockColumns();
      return scaled.scaled(ofValues.of(i / per) * per + i % per, ofScales.of(block));
    };
  }

  /** Where the elements of what is seen are, by the definition of a view. */
  private interface Places {
    long of(long index);
  }

  private static Places places(Place place) {
    View view = place.view();
    if (view == null) {
      return i -> i;
    }
    if (view.isRun()) {
      return i -> view.offset() + i;
    }
    int rank = view.shape().rank();
    return index -> {
      long at = view.offset();
      long left = index;
      for (int axis = rank - 1; axis >= 0; axis--) {
        at += left % view.shape().dim(axis) * view.strides().get(axis);
        left /= view.shape().dim(axis);
      }
      return at;
    };
  }

  private long mismatchOfView(Place place, MemorySegment found) {
    MemorySegment tensor = data(place);
    long width = place.tensor().dtype().bits() / Byte.SIZE;
    Places places = places(place);
    long count = place.elements();
    if (found.byteSize() != count * width) {
      return 0;
    }
    // The last axis is walked in steps, or the definition would divide for each element.
    View view = Objects.requireNonNull(place.view());
    int last = view.shape().rank() - 1;
    long run = last < 0 ? 1 : view.shape().dim(last);
    long step = last < 0 ? 1 : view.strides().get(last);
    for (long i = 0; i < count; i += run) {
      long at = places.of(i);
      if (step == 1) {
        long mismatch =
            tensor.asSlice(at * width, run * width).mismatch(found.asSlice(i * width, run * width));
        if (mismatch >= 0) {
          return i * width + mismatch;
        }
        continue;
      }
      for (long j = 0; j < run; j++) {
        for (long b = 0; b < width; b++) {
          if (tensor.get(ValueLayout.JAVA_BYTE, (at + j * step) * width + b)
              != found.get(ValueLayout.JAVA_BYTE, (i + j) * width + b)) {
            return (i + j) * width + b;
          }
        }
      }
    }
    return -1;
  }

  /** All of the tensor that a place is in. */
  private MemorySegment data(Place place) {
    SourceTensor source = place.tensor();
    MappedTensors file = files.apply(source);
    return file.data(file.require(source.name()));
  }

  private static long mismatch(
      MemorySegment found, Dtype dtype, long elements, LongToDoubleFunction expected) {
    long size = dtype.bits() / 8;
    if (found.byteSize() != elements * size) {
      return 0;
    }
    var actual = Elements.plain("package", found, dtype);
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

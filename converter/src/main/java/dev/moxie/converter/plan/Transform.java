package dev.moxie.converter.plan;

import dev.moxie.converter.adapter.LowRank;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest.Quantisation;
import dev.moxie.format.safetensors.Dtype;
import java.util.Optional;

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
   * Every number times its scale, rounded to float32 and then to another dtype, each time to
   * nearest, ties to even.
   *
   * @param encoding of the source
   * @param scales where those of the leaf lie
   * @param columns of the leaf
   */
  record Dequantise(BlockScaled encoding, Place scales, long columns, Dtype to)
      implements Transform {
    @Override
    public String id() {
      return IndexRow.dequantise(encoding);
    }
  }

  /**
   * Every element and what an adapter adds to it, rounded once, to nearest, ties to even.
   *
   * @param read what gives the elements as float32
   * @param columns of the leaf's matrix
   */
  record Merge(Transform read, LowRank update, long columns, Dtype to) implements Transform {
    @Override
    public String id() {
      return IndexRow.merge(read.decoding().map(Dequantise::encoding).orElse(null));
    }
  }

  /**
   * A number for every element, or the scale of each block of them.
   *
   * @param read what gives the elements as float32
   * @param columns of the leaf's matrix
   */
  record Quantise(Transform read, Quantisation by, long columns, Half half) implements Transform {
    @Override
    public String id() {
      boolean changed = read instanceof Merge || read instanceof Dequantise;
      return IndexRow.quantise(changed ? read.id() : null, by.quantised());
    }
  }

  /** What of a quantised matrix a leaf is. */
  enum Half {
    VALUES,
    SCALES
  }

  /** What is merged, by itself or before quantising, if anything is. */
  default Optional<LowRank> merged() {
    return switch (this) {
      case Merge merge -> Optional.of(merge.update());
      case Quantise quantise -> quantise.read().merged();
      case Dequantise decode -> Optional.empty();
      case Copy copy -> Optional.empty();
      case Cast cast -> Optional.empty();
    };
  }

  /** The decoding that is done, by itself or before another, if any is. */
  default Optional<Dequantise> decoding() {
    return switch (this) {
      case Dequantise decode -> Optional.of(decode);
      case Merge merge -> merge.read().decoding();
      case Quantise quantise -> quantise.read().decoding();
      case Copy copy -> Optional.empty();
      case Cast cast -> Optional.empty();
    };
  }
}

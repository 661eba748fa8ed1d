package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Encodings that conversion writes, in blocks of one row. To quantise a block is to choose its
 * scale, and of each element the number whose product with the scale is nearest.
 */
public sealed interface Quantised extends BlockScaled permits Int8Channel, Int4Block, Mxfp4 {
  /** What scales are written as; all that {@link #scale} gives are exact in it. */
  default Dtype writtenScales() {
    return Dtype.F32;
  }

  @Override
  default Dtype usualScales() {
    return writtenScales();
  }

  @Override
  default Set<Dtype> scaleDtypes() {
    return Set.of(writtenScales());
  }

  /** How many scales {@link Quantiser.Method#SEARCH} tries. */
  int candidates();

  /**
   * A scale that a block may be given.
   *
   * @param extreme the element of the block with the largest magnitude, of equal ones the first
   * @param candidate which; 0 is the one that {@link Quantiser.Method#NEAREST} takes
   */
  float scale(float extreme, int candidate);

  /**
   * The number nearest to each quotient of element and scale, of two as near the one that ends in
   * 0, in binary; beyond the largest it is the largest.
   */
  void round(float[] elements, int from, int to, float scale, float[] numbers);

  /** The distance from a number to the farther of its neighbours. */
  float step(float number);

  /** The largest number; beyond it, or the least, elements are cut off. */
  float largest();

  /** The stored form of a number, in the lowest bits. */
  int code(float number);

  /** The byte that a scale is stored as, or the four of a float32, the lowest first. */
  default int storedScale(float scale) {
    return Float.floatToRawIntBits(scale);
  }

  @Override
  default int blockRows() {
    return 1;
  }

  /** No checkpoint has them, unless an encoding says how. */
  @Override
  default List<Shape> inCheckpoints(Shape stored) {
    return List.of();
  }

  @Override
  default Optional<String> scalesInCheckpoints(String values) {
    return Optional.empty();
  }
}

package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * The encodings {@code int4_group_G}: whole numbers from −8 to 7, stored with 8 added, eight to an
 * I32, the first in the low bits, with a scale for every G of a row, as compressed-tensors has them
 * in its format {@code pack-quantized}. Little-endian bytes of such values are those of {@link
 * Int4Block}. The last group of a row may be smaller.
 *
 * @param blockColumns from 1 to 9999
 */
public record Int4Group(int blockColumns) implements RowScaled {
  static final String VALUES_END = ".weight_packed";
  static final String SHAPE_END = ".weight_shape";

  private static final String ID = "int4_group_";

  public Int4Group {
    RowScaled.requireGroup(blockColumns);
  }

  static Optional<Int4Group> of(String id) {
    return RowScaled.ofGroups(ID, id, Int4Group::new);
  }

  @Override
  public String id() {
    return ID + blockColumns;
  }

  @Override
  public Dtype dtype() {
    return Dtype.I32;
  }

  @Override
  public int perValue() {
    return 8;
  }

  @Override
  public String valuesFor(String weight) {
    return BlockScaled.renamed(weight, ".weight", VALUES_END).orElse(weight);
  }

  @Override
  public Optional<String> scalesInCheckpoints(String values) {
    return BlockScaled.renamed(values, VALUES_END, Fp8Channel.SCALES_END);
  }

  @Override
  public Optional<String> shapeInCheckpoints(String values) {
    return BlockScaled.renamed(values, VALUES_END, SHAPE_END);
  }

  @Override
  public float number(MemorySegment values, long index) {
    return Int4Block.numberAt(values, index);
  }

  @Override
  public MemorySegment decode(
      ElementBlock block, MemorySegment values, long at, int count, float[] scales) {
    return block.decodeInt4(values, at, count, scales);
  }
}

package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/**
 * The encodings {@code int8_group_G}: whole numbers of eight bits with a scale for every G of a
 * row, as Grok-1 is released, whose scales are of the part of a row that a device had (xAI, 2024,
 * {@code model.py}, {@code QuantizedWeight8bit}). The last group of a row may be smaller.
 *
 * @param blockColumns from 1 to 9999
 */
public record Int8Group(int blockColumns) implements RowScaled {
  static final String SCALES_END = ".scales";

  private static final String ID = "int8_group_";

  public Int8Group {
    RowScaled.requireGroup(blockColumns);
  }

  static Optional<Int8Group> of(String id) {
    return RowScaled.ofGroups(ID, id, Int8Group::new);
  }

  @Override
  public String id() {
    return ID + blockColumns;
  }

  @Override
  public Dtype dtype() {
    return Dtype.I8;
  }

  @Override
  public int perValue() {
    return 1;
  }

  @Override
  public Optional<String> scalesInCheckpoints(String values) {
    return BlockScaled.renamed(values, ".weight", SCALES_END);
  }

  @Override
  public float number(MemorySegment values, long index) {
    return values.get(ValueLayout.JAVA_BYTE, index);
  }

  @Override
  public MemorySegment decode(
      ElementBlock block, MemorySegment values, long at, int count, float[] scales) {
    return block.decodeI8(values, at, count, scales);
  }
}

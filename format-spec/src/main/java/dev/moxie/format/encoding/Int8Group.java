package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The encodings {@code int8_group_G}: whole numbers of eight bits with a scale for every G of a
 * row, as Grok-1 is released, whose scales are of the part of a row that a device had (xAI, 2024,
 * {@code model.py}, {@code QuantizedWeight8bit}). The last group of a row may be smaller.
 *
 * @param blockColumns from 1 to 9999
 */
public record Int8Group(int blockColumns) implements BlockScaled {
  static final String SCALES_END = ".scales";

  private static final int MOST = 9999;
  private static final Pattern ID = Pattern.compile("int8_group_([1-9][0-9]{0,3})");

  public Int8Group {
    if (blockColumns < 1 || blockColumns > MOST) {
      throw new IllegalArgumentException(
          "groups of %d; expected 1 to %d".formatted(blockColumns, MOST));
    }
  }

  static Optional<Int8Group> of(String id) {
    Matcher matcher = ID.matcher(id);
    return matcher.matches()
        ? Optional.of(new Int8Group(Integer.parseInt(matcher.group(1))))
        : Optional.empty();
  }

  @Override
  public String id() {
    return "int8_group_" + blockColumns;
  }

  @Override
  public Dtype dtype() {
    return Dtype.I8;
  }

  @Override
  public Set<Dtype> scaleDtypes() {
    return Fp8Channel.SCALES;
  }

  @Override
  public Dtype usualScales() {
    return Dtype.BF16;
  }

  @Override
  public int blockRows() {
    return 1;
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

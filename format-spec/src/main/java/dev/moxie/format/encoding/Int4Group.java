package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The encodings {@code int4_group_G}: whole numbers from −8 to 7, stored with 8 added, eight to an
 * I32, the first in the low bits, with a scale for every G of a row, as compressed-tensors has them
 * in its format {@code pack-quantized}. Little-endian bytes of such values are those of {@link
 * Int4Block}. The last group of a row may be smaller.
 *
 * @param blockColumns from 1 to 9999
 */
public record Int4Group(int blockColumns) implements BlockScaled {
  static final String VALUES_END = ".weight_packed";
  static final String SHAPE_END = ".weight_shape";

  private static final int MOST = 9999;
  private static final Pattern ID = Pattern.compile("int4_group_([1-9][0-9]{0,3})");

  public Int4Group {
    if (blockColumns < 1 || blockColumns > MOST) {
      throw new IllegalArgumentException(
          "groups of %d; expected 1 to %d".formatted(blockColumns, MOST));
    }
  }

  static Optional<Int4Group> of(String id) {
    Matcher matcher = ID.matcher(id);
    return matcher.matches()
        ? Optional.of(new Int4Group(Integer.parseInt(matcher.group(1))))
        : Optional.empty();
  }

  @Override
  public String id() {
    return "int4_group_" + blockColumns;
  }

  @Override
  public Dtype dtype() {
    return Dtype.I32;
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

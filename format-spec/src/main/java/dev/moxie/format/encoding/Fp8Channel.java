package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/**
 * The encoding {@code fp8_channel}: e4m3 numbers with a scale for every row, as compressed-tensors
 * has them in its format {@code float-quantized}.
 */
public record Fp8Channel() implements RowScaled {
  static final String SCALES_END = ".weight_scale";

  @Override
  public String id() {
    return "fp8_channel";
  }

  @Override
  public Dtype dtype() {
    return Dtype.F8_E4M3;
  }

  /** All of a row, however long. */
  @Override
  public int blockColumns() {
    return Integer.MAX_VALUE;
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
    return Fp8Block.number(values.get(ValueLayout.JAVA_BYTE, index));
  }

  @Override
  public MemorySegment decode(
      ElementBlock block, MemorySegment values, long at, int count, float[] scales) {
    return block.decodeE4m3(values, at, count, scales);
  }
}

package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The encoding {@code int8_channel}: whole numbers of eight bits with a scale for every row. */
public record Int8Channel() implements Quantised {
  private static final int LARGEST = 127;

  /** Numbers that the element of largest magnitude may come to, before it is cut off. */
  private static final float[] EXTREMES = {LARGEST, 129, 131, 134, 137, 141, 146};

  @Override
  public String id() {
    return "int8_channel";
  }

  @Override
  public Dtype dtype() {
    return Dtype.I8;
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
  public float number(MemorySegment values, long index) {
    return values.get(ValueLayout.JAVA_BYTE, index);
  }

  @Override
  public MemorySegment decode(
      ElementBlock block, MemorySegment values, long at, int count, float[] scales) {
    return block.decodeI8(values, at, count, scales);
  }

  @Override
  public int candidates() {
    return EXTREMES.length;
  }

  @Override
  public float scale(float extreme, int candidate) {
    return Math.abs(extreme) / EXTREMES[candidate];
  }

  @Override
  public void round(float[] elements, int from, int to, float scale, float[] numbers) {
    Kernels.round(elements, from, to, scale, -LARGEST - 1, LARGEST, numbers);
  }

  @Override
  public float step(float number) {
    return 1;
  }

  @Override
  public float largest() {
    return LARGEST;
  }

  @Override
  public int code(float number) {
    return (int) number;
  }
}

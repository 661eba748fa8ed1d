package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The encoding {@code mxfp4} (Open Compute Project, "Microscaling Formats Specification", 1.0,
 * 2023): e2m1 numbers, two to a byte, the first in the low bits, with a power of two for every 32
 * of a row.
 */
public record Mxfp4() implements Quantised {
  static final String VALUES_END = "_blocks";
  static final String SCALES_END = "_scales";

  private static final int BLOCK = 32;

  /** Bytes of a block, which checkpoints give an axis of its own. */
  private static final int BLOCK_BYTES = BLOCK / 2;

  private static final float LARGEST = 6;
  private static final int ONE = Float.floatToRawIntBits(1);

  private static final Set<Dtype> NUMBERS_IN = EnumSet.of(Dtype.U8, Dtype.I8);
  private static final Set<Dtype> SCALES = EnumSet.of(Dtype.U8, Dtype.F8_E8M0);
  private static final float[] NUMBERS = {
    0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6
  };

  @Override
  public String id() {
    return "mxfp4";
  }

  @Override
  public Dtype dtype() {
    return Dtype.U8;
  }

  @Override
  public Set<Dtype> dtypes() {
    return NUMBERS_IN;
  }

  @Override
  public Set<Dtype> scaleDtypes() {
    return SCALES;
  }

  @Override
  public int blockColumns() {
    return BLOCK;
  }

  @Override
  public int perValue() {
    return 2;
  }

  @Override
  public boolean holds(Shape matrix) {
    return matrix.rank() == 2 && matrix.dim(1) % BLOCK == 0;
  }

  @Override
  public List<Shape> inCheckpoints(Shape stored) {
    List<Long> dims = new ArrayList<>(stored.dims());
    long row = dims.removeLast();
    dims.add(row / BLOCK_BYTES);
    dims.add((long) BLOCK_BYTES);
    return List.of(new Shape(dims), stored);
  }

  @Override
  public Optional<String> scalesInCheckpoints(String values) {
    return BlockScaled.renamed(values, VALUES_END, SCALES_END);
  }

  @Override
  public Optional<String> otherScalesInCheckpoints(String values) {
    return BlockScaled.scalesBeside(values);
  }

  @Override
  public float number(MemorySegment values, long index) {
    int both = values.get(ValueLayout.JAVA_BYTE, index / 2);
    return number(index % 2 == 0 ? both : both >> 4);
  }

  @Override
  public MemorySegment decode(
      ElementBlock block, MemorySegment values, long at, int count, float[] scales) {
    return block.decodeE2m1(values, at, count, scales);
  }

  @Override
  public Dtype writtenScales() {
    return Dtype.U8;
  }

  @Override
  public int candidates() {
    return 2;
  }

  /** The power of two below the largest element becomes that below the largest number, or 2. */
  @Override
  public float scale(float extreme, int candidate) {
    int exponent = Math.getExponent(extreme) - Math.getExponent(LARGEST) + candidate;
    return Scales.powerOfTwo((byte) Math.max(0, exponent + Scales.BIAS));
  }

  @Override
  public void round(float[] elements, int from, int to, float scale, float[] numbers) {
    for (int i = from; i < to; i++) {
      float quotient = elements[i] / scale;
      float magnitude = Math.abs(quotient);
      float step = step(magnitude);
      float nearest = Math.min(LARGEST, (float) Math.rint(magnitude / step) * step);
      numbers[i] = Math.copySign(nearest, quotient);
    }
  }

  @Override
  public float step(float number) {
    return Math.abs(number) < 2 ? 0.5f : Math.abs(number) < 4 ? 1 : 2;
  }

  @Override
  public float largest() {
    return LARGEST;
  }

  @Override
  public int code(float number) {
    int bits = Float.floatToRawIntBits(Math.abs(number));
    // Exponent and the first bit of the fraction of 1 and more count on from 2, by halves.
    int magnitude = number == 0 ? 0 : Math.max(1, (bits >>> 22) - (ONE >>> 22) + 2);
    return magnitude | (Float.floatToRawIntBits(number) >>> 31 << 3);
  }

  @Override
  public int storedScale(float scale) {
    return Math.getExponent(scale) + Scales.BIAS;
  }

  /** The numbers of the sixteen e2m1 codes. */
  public static float[] numbers() {
    return NUMBERS.clone();
  }

  /** The number of an e2m1 code, which the lowest four bits are. */
  public static float number(int code) {
    return NUMBERS[code & 0xf];
  }
}

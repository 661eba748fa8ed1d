package dev.moxie.runtime.plain;

import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * {@link Mxfp4}. Each lane selects its number, but for the sign, from a vector of all eight, which
 * every vector that holds bytes has room for.
 */
final class E2m1 extends FourBits {
  private static final int[] MAGNITUDES = new int[Lanes.WIDTH];

  static {
    for (int i = 0; i < MAGNITUDES.length; i++) {
      MAGNITUDES[i] = Float.floatToRawIntBits(Mxfp4.number(i & 7));
    }
  }

  E2m1(Shape matrix, MemorySegment values, ScaleGrid grid) {
    super(matrix, values, grid);
  }

  @Override
  float number(int code) {
    return Mxfp4.number(code);
  }

  /** Spelled out, since beyond some size C2 inlines only what is a vector's own method. */
  @Override
  void readVectors(int row, float[] into, int at) {
    IntVector numbers = IntVector.fromArray(Lanes.INTS, MAGNITUDES, 0);
    IntVector sign = IntVector.broadcast(Lanes.INTS, Integer.MIN_VALUE);
    long first = first(row) / 2;
    long place = grid.first(row);
    int k = columns();
    for (int i = 0; i < k; i += GROUP) {
      float scale = grid.at(place + (i >> shift));
      for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
        IntVector both =
            (IntVector)
                ByteVector.fromMemorySegment(Lanes.BYTES, bytes, first + i / 2 + p, Lanes.LITTLE)
                    .convertShape(VectorOperators.ZERO_EXTEND_B2I, Lanes.INTS, 0);
        both.selectFrom(numbers)
            .or(both.lanewise(VectorOperators.LSHL, 28).and(sign))
            .reinterpretAsFloats()
            .mul(scale)
            .intoArray(into, at + i + p);
        both.lanewise(VectorOperators.LSHR, 4)
            .selectFrom(numbers)
            .or(both.lanewise(VectorOperators.LSHL, 24).and(sign))
            .reinterpretAsFloats()
            .mul(scale)
            .intoArray(into, at + i + p + Lanes.COUNT);
      }
    }
  }

  @Override
  public void dots(int row, int apart, float[] x, int at, float[] lanes) {
    dots(row, row + apart, x, at, lanes, 0);
    dots(row + 2 * apart, row + 3 * apart, x, at, lanes, 2 * Lanes.COUNT);
  }

  /** Spelled out likewise. */
  private void dots(int rowOne, int rowTwo, float[] x, int at, float[] lanes, int to) {
    long first = first(rowOne) / 2;
    long second = first(rowTwo) / 2;
    long placeOne = grid.first(rowOne);
    long placeTwo = grid.first(rowTwo);
    int k = columns();
    IntVector numbers = IntVector.fromArray(Lanes.INTS, MAGNITUDES, 0);
    IntVector sign = IntVector.broadcast(Lanes.INTS, Integer.MIN_VALUE);
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a = FloatVector.zero(Lanes.FLOATS);
      FloatVector b = a;
      for (int i = 0; i < k; i += GROUP) {
        FloatVector scaleOne =
            FloatVector.broadcast(Lanes.FLOATS, grid.at(placeOne + (i >> shift)));
        FloatVector scaleTwo =
            FloatVector.broadcast(Lanes.FLOATS, grid.at(placeTwo + (i >> shift)));
        IntVector one =
            (IntVector)
                ByteVector.fromMemorySegment(Lanes.BYTES, bytes, first + i / 2 + p, Lanes.LITTLE)
                    .convertShape(VectorOperators.ZERO_EXTEND_B2I, Lanes.INTS, 0);
        IntVector two =
            (IntVector)
                ByteVector.fromMemorySegment(Lanes.BYTES, bytes, second + i / 2 + p, Lanes.LITTLE)
                    .convertShape(VectorOperators.ZERO_EXTEND_B2I, Lanes.INTS, 0);
        FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p);
        IntVector minusOne = one.lanewise(VectorOperators.LSHL, 28).and(sign);
        IntVector minusTwo = two.lanewise(VectorOperators.LSHL, 28).and(sign);
        a = one.selectFrom(numbers).or(minusOne).reinterpretAsFloats().mul(scaleOne).fma(v, a);
        b = two.selectFrom(numbers).or(minusTwo).reinterpretAsFloats().mul(scaleTwo).fma(v, b);
        v = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p + Lanes.COUNT);
        minusOne = one.lanewise(VectorOperators.LSHL, 24).and(sign);
        minusTwo = two.lanewise(VectorOperators.LSHL, 24).and(sign);
        one = one.lanewise(VectorOperators.LSHR, 4).selectFrom(numbers);
        two = two.lanewise(VectorOperators.LSHR, 4).selectFrom(numbers);
        a = one.or(minusOne).reinterpretAsFloats().mul(scaleOne).fma(v, a);
        b = two.or(minusTwo).reinterpretAsFloats().mul(scaleTwo).fma(v, b);
      }
      a.intoArray(lanes, to + p);
      b.intoArray(lanes, to + Lanes.COUNT + p);
    }
  }

  @Override
  public void pair(int row, int apart, float[] x, int at, int other, float[] lanes) {
    for (int r = 0; r < Sums.ROWS; r++) {
      pair(row + r * apart, x, at, other, lanes, r * Lanes.COUNT);
    }
  }

  /** Spelled out likewise. */
  private void pair(int row, float[] x, int at, int other, float[] lanes, int to) {
    long first = first(row) / 2;
    long place = grid.first(row);
    int k = columns();
    IntVector numbers = IntVector.fromArray(Lanes.INTS, MAGNITUDES, 0);
    IntVector sign = IntVector.broadcast(Lanes.INTS, Integer.MIN_VALUE);
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a = FloatVector.zero(Lanes.FLOATS);
      FloatVector b = a;
      for (int i = 0; i < k; i += GROUP) {
        FloatVector scale = FloatVector.broadcast(Lanes.FLOATS, grid.at(place + (i >> shift)));
        IntVector both =
            (IntVector)
                ByteVector.fromMemorySegment(Lanes.BYTES, bytes, first + i / 2 + p, Lanes.LITTLE)
                    .convertShape(VectorOperators.ZERO_EXTEND_B2I, Lanes.INTS, 0);
        IntVector minus = both.lanewise(VectorOperators.LSHL, 28).and(sign);
        FloatVector w = both.selectFrom(numbers).or(minus).reinterpretAsFloats().mul(scale);
        a = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p).fma(w, a);
        b = FloatVector.fromArray(Lanes.FLOATS, x, other + i + p).fma(w, b);
        minus = both.lanewise(VectorOperators.LSHL, 24).and(sign);
        both = both.lanewise(VectorOperators.LSHR, 4).selectFrom(numbers);
        w = both.or(minus).reinterpretAsFloats().mul(scale);
        a = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p + Lanes.COUNT).fma(w, a);
        b = FloatVector.fromArray(Lanes.FLOATS, x, other + i + p + Lanes.COUNT).fma(w, b);
      }
      a.intoArray(lanes, to + p);
      b.intoArray(lanes, to + p + Sums.ROWS * Lanes.COUNT);
    }
  }
}

package dev.moxie.runtime.plain;

import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** {@link Int4Block}. */
final class Int4 extends FourBits {
  /** What makes a code the last bits of 2²³ and so of a number that is 2²³ too large. */
  private static final int MANTISSA = 0x4b000000;

  private static final float ZERO = 0x1p23f + 8;

  Int4(Shape matrix, MemorySegment values, ScaleGrid grid) {
    super(matrix, values, grid);
  }

  @Override
  float number(int code) {
    return Int4Block.number(code);
  }

  @Override
  void readVectors(int row, float[] into, int at) {
    long first = first(row) / 2;
    long place = grid.first(row);
    int k = columns();
    for (int i = 0; i < k; i += GROUP) {
      float scale = grid.at(place + (i >> shift));
      for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
        IntVector both = bytes(first + i / 2 + p);
        numbers(even(both)).mul(scale).intoArray(into, at + i + p);
        numbers(odd(both)).mul(scale).intoArray(into, at + i + p + Lanes.COUNT);
      }
    }
  }

  @Override
  public void dots(int row, int apart, float[] x, int at, float[] lanes) {
    dots(row, row + apart, x, at, lanes, 0);
    dots(row + 2 * apart, row + 3 * apart, x, at, lanes, 2 * Lanes.COUNT);
  }

  private void dots(int rowOne, int rowTwo, float[] x, int at, float[] lanes, int to) {
    long first = first(rowOne) / 2;
    long second = first(rowTwo) / 2;
    long placeOne = grid.first(rowOne);
    long placeTwo = grid.first(rowTwo);
    int k = columns();
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a = FloatVector.zero(Lanes.FLOATS);
      FloatVector b = a;
      for (int i = 0; i < k; i += GROUP) {
        float scaleOne = grid.at(placeOne + (i >> shift));
        float scaleTwo = grid.at(placeTwo + (i >> shift));
        FloatVector even = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p);
        FloatVector odd = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p + Lanes.COUNT);
        IntVector one = bytes(first + i / 2 + p);
        IntVector two = bytes(second + i / 2 + p);
        a = numbers(even(one)).mul(scaleOne).fma(even, a);
        b = numbers(even(two)).mul(scaleTwo).fma(even, b);
        a = numbers(odd(one)).mul(scaleOne).fma(odd, a);
        b = numbers(odd(two)).mul(scaleTwo).fma(odd, b);
      }
      a.intoArray(lanes, to + p);
      b.intoArray(lanes, to + Lanes.COUNT + p);
    }
  }

  @Override
  public void pair(int row, int apart, float[] x, int at, int other, float[] lanes) {
    pair(row, row + apart, x, at, other, lanes, 0);
    pair(row + 2 * apart, row + 3 * apart, x, at, other, lanes, 2 * Lanes.COUNT);
  }

  /** Spelled out, since beyond some size C2 inlines only what is a vector's own method. */
  private void pair(int rowOne, int rowTwo, float[] x, int at, int other, float[] lanes, int to) {
    long first = first(rowOne) / 2;
    long second = first(rowTwo) / 2;
    long placeOne = grid.first(rowOne);
    long placeTwo = grid.first(rowTwo);
    int k = columns();
    IntVector low = IntVector.broadcast(Lanes.INTS, 15);
    IntVector mantissa = IntVector.broadcast(Lanes.INTS, MANTISSA);
    FloatVector zero = FloatVector.broadcast(Lanes.FLOATS, ZERO);
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a1 = FloatVector.zero(Lanes.FLOATS);
      FloatVector a2 = a1;
      FloatVector b1 = a1;
      FloatVector b2 = a1;
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
        FloatVector w1 = one.and(low).or(mantissa).reinterpretAsFloats().sub(zero).mul(scaleOne);
        FloatVector w2 = two.and(low).or(mantissa).reinterpretAsFloats().sub(zero).mul(scaleTwo);
        FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p);
        a1 = w1.fma(v, a1);
        a2 = w2.fma(v, a2);
        v = FloatVector.fromArray(Lanes.FLOATS, x, other + i + p);
        b1 = w1.fma(v, b1);
        b2 = w2.fma(v, b2);
        w1 =
            one.lanewise(VectorOperators.LSHR, 4)
                .or(mantissa)
                .reinterpretAsFloats()
                .sub(zero)
                .mul(scaleOne);
        w2 =
            two.lanewise(VectorOperators.LSHR, 4)
                .or(mantissa)
                .reinterpretAsFloats()
                .sub(zero)
                .mul(scaleTwo);
        v = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p + Lanes.COUNT);
        a1 = w1.fma(v, a1);
        a2 = w2.fma(v, a2);
        v = FloatVector.fromArray(Lanes.FLOATS, x, other + i + p + Lanes.COUNT);
        b1 = w1.fma(v, b1);
        b2 = w2.fma(v, b2);
      }
      a1.intoArray(lanes, to + p);
      a2.intoArray(lanes, to + p + Lanes.COUNT);
      b1.intoArray(lanes, to + p + Sums.ROWS * Lanes.COUNT);
      b2.intoArray(lanes, to + p + Sums.ROWS * Lanes.COUNT + Lanes.COUNT);
    }
  }

  private static FloatVector numbers(IntVector codes) {
    return codes.or(MANTISSA).reinterpretAsFloats().sub(ZERO);
  }

  private static IntVector even(IntVector both) {
    return both.and(15);
  }
}

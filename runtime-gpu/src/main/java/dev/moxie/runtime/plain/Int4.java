package dev.moxie.runtime.plain;

import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** {@link Int4Block} and {@code Int4Group}, whose bytes are the same. */
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

  /** Spelled out, since beyond some size C2 inlines only what is a vector's own method. */
  @Override
  void readVectors(int row, float[] into, int at) {
    IntVector low = IntVector.broadcast(Lanes.INTS, 15);
    IntVector mantissa = IntVector.broadcast(Lanes.INTS, MANTISSA);
    FloatVector zero = FloatVector.broadcast(Lanes.FLOATS, ZERO);
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
        both.and(low)
            .or(mantissa)
            .reinterpretAsFloats()
            .sub(zero)
            .mul(scale)
            .intoArray(into, at + i + p);
        both.lanewise(VectorOperators.LSHR, 4)
            .or(mantissa)
            .reinterpretAsFloats()
            .sub(zero)
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
    IntVector low = IntVector.broadcast(Lanes.INTS, 15);
    IntVector mantissa = IntVector.broadcast(Lanes.INTS, MANTISSA);
    FloatVector zero = FloatVector.broadcast(Lanes.FLOATS, ZERO);
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
        a = one.and(low).or(mantissa).reinterpretAsFloats().sub(zero).mul(scaleOne).fma(v, a);
        b = two.and(low).or(mantissa).reinterpretAsFloats().sub(zero).mul(scaleTwo).fma(v, b);
        v = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p + Lanes.COUNT);
        one = one.lanewise(VectorOperators.LSHR, 4);
        two = two.lanewise(VectorOperators.LSHR, 4);
        a = one.or(mantissa).reinterpretAsFloats().sub(zero).mul(scaleOne).fma(v, a);
        b = two.or(mantissa).reinterpretAsFloats().sub(zero).mul(scaleTwo).fma(v, b);
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

  /** Spelled out likewise. */
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
}

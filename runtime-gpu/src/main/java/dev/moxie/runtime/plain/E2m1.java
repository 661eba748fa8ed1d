package dev.moxie.runtime.plain;

import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** {@link Mxfp4}. */
final class E2m1 extends FourBits {
  /** Twice the numbers of the codes from 0 to 7, four bits for each. */
  private static final int TWICE = 0xc8643210;

  E2m1(Shape matrix, MemorySegment values, ScaleGrid grid) {
    super(matrix, values, grid);
  }

  @Override
  float number(int code) {
    return Mxfp4.number(code);
  }

  @Override
  void readVectors(int row, float[] into, int at) {
    long first = first(row) / 2;
    long place = grid.first(row);
    int k = columns();
    for (int i = 0; i < k; i += GROUP) {
      float half = grid.at(place + (i >> shift)) / 2;
      for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
        IntVector both = bytes(first + i / 2 + p);
        twice(both).mul(half).intoArray(into, at + i + p);
        twice(odd(both)).mul(half).intoArray(into, at + i + p + Lanes.COUNT);
      }
    }
  }

  @Override
  public void dots(int row, int apart, float[] x, int at, float[] lanes) {
    for (int r = 0; r < Sums.ROWS; r++) {
      // By itself, since what C2 inlines of vectors in one method is limited.
      dot(row + r * apart, x, at, lanes, r * Lanes.COUNT);
    }
  }

  private void dot(int row, float[] x, int at, float[] lanes, int to) {
    long first = first(row) / 2;
    long place = grid.first(row);
    int k = columns();
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector sum = FloatVector.zero(Lanes.FLOATS);
      for (int i = 0; i < k; i += GROUP) {
        float half = grid.at(place + (i >> shift)) / 2;
        IntVector both = bytes(first + i / 2 + p);
        FloatVector even = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p);
        FloatVector odd = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p + Lanes.COUNT);
        sum = twice(both).mul(half).fma(even, sum);
        sum = twice(odd(both)).mul(half).fma(odd, sum);
      }
      sum.intoArray(lanes, to + p);
    }
  }

  @Override
  public void pair(int row, int apart, float[] x, int at, int other, float[] lanes) {
    for (int r = 0; r < Sums.ROWS; r++) {
      pair(row + r * apart, x, at, other, lanes, r * Lanes.COUNT);
    }
  }

  private void pair(int row, float[] x, int at, int other, float[] lanes, int to) {
    long first = first(row) / 2;
    long place = grid.first(row);
    int k = columns();
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a = FloatVector.zero(Lanes.FLOATS);
      FloatVector b = a;
      for (int i = 0; i < k; i += GROUP) {
        float half = grid.at(place + (i >> shift)) / 2;
        IntVector both = bytes(first + i / 2 + p);
        FloatVector w = twice(both).mul(half);
        a = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p).fma(w, a);
        b = FloatVector.fromArray(Lanes.FLOATS, x, other + i + p).fma(w, b);
        w = twice(odd(both)).mul(half);
        a = FloatVector.fromArray(Lanes.FLOATS, x, at + i + p + Lanes.COUNT).fma(w, a);
        b = FloatVector.fromArray(Lanes.FLOATS, x, other + i + p + Lanes.COUNT).fma(w, b);
      }
      a.intoArray(lanes, to + p);
      b.intoArray(lanes, to + p + Sums.ROWS * Lanes.COUNT);
    }
  }

  /** Twice the numbers of the codes in the low four bits. */
  private static FloatVector twice(IntVector codes) {
    IntVector place = codes.lanewise(VectorOperators.LSHL, 2).and(28);
    IntVector magnitude =
        IntVector.broadcast(Lanes.INTS, TWICE).lanewise(VectorOperators.LSHR, place).and(15);
    return ((FloatVector) magnitude.convert(VectorOperators.I2F, 0))
        .reinterpretAsInts()
        .or(codes.lanewise(VectorOperators.LSHL, 28).and(Integer.MIN_VALUE))
        .reinterpretAsFloats();
  }
}

package dev.moxie.runtime.plain;

import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** {@link Int8Channel}, and {@code Int8Group} where a group is a row. */
final class Int8 extends StoredMatrix.Elements {
  private final ScaleGrid grid;

  Int8(Shape matrix, MemorySegment numbers, ScaleGrid grid) {
    super(matrix, numbers, grid);
    this.grid = grid;
  }

  @Override
  public void read(int row, float[] into, int at) {
    long first = first(row);
    float scale = grid.at(grid.first(row));
    int whole = columns() & -Lanes.WIDTH;
    for (int c = 0; c < whole; c += Lanes.WIDTH) {
      numbers(first + c).mul(scale).intoArray(into, at + c);
    }
    for (int c = whole; c < columns(); c++) {
      into[at + c] = bytes.get(ValueLayout.JAVA_BYTE, first + c) * scale;
    }
  }

  @Override
  public int few() {
    return isWhole() ? FEW : 0;
  }

  @Override
  public void dots(int row, int apart, float[] x, int at, float[] lanes) {
    dots(row, row + apart, x, at, lanes, 0);
    dots(row + 2 * apart, row + 3 * apart, x, at, lanes, 2 * Lanes.COUNT);
  }

  private void dots(int one, int two, float[] x, int at, float[] lanes, int to) {
    long first = first(one);
    long second = first(two);
    float scaleOne = grid.at(grid.first(one));
    float scaleTwo = grid.at(grid.first(two));
    int k = columns();
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a = FloatVector.zero(Lanes.FLOATS);
      FloatVector b = a;
      for (int i = p; i < k; i += Lanes.COUNT) {
        FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
        a = numbers(first + i).mul(scaleOne).fma(v, a);
        b = numbers(second + i).mul(scaleTwo).fma(v, b);
      }
      a.intoArray(lanes, to + p);
      b.intoArray(lanes, to + Lanes.COUNT + p);
    }
  }

  @Override
  public void pair(int row, int apart, float[] x, int at, int other, float[] lanes) {
    int k = columns();
    long first = first(row);
    long second = first(row + apart);
    long third = first(row + 2 * apart);
    long fourth = first(row + 3 * apart);
    float scaleOne = grid.at(grid.first(row));
    float scaleTwo = grid.at(grid.first(row + apart));
    float scaleThree = grid.at(grid.first(row + 2 * apart));
    float scaleFour = grid.at(grid.first(row + 3 * apart));
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a1 = FloatVector.zero(Lanes.FLOATS);
      FloatVector a2 = a1;
      FloatVector a3 = a1;
      FloatVector a4 = a1;
      FloatVector b1 = a1;
      FloatVector b2 = a1;
      FloatVector b3 = a1;
      FloatVector b4 = a1;
      for (int i = p; i < k; i += Lanes.COUNT) {
        FloatVector a = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
        FloatVector b = FloatVector.fromArray(Lanes.FLOATS, x, other + i);
        FloatVector w = numbers(first + i).mul(scaleOne);
        a1 = w.fma(a, a1);
        b1 = w.fma(b, b1);
        w = numbers(second + i).mul(scaleTwo);
        a2 = w.fma(a, a2);
        b2 = w.fma(b, b2);
        w = numbers(third + i).mul(scaleThree);
        a3 = w.fma(a, a3);
        b3 = w.fma(b, b3);
        w = numbers(fourth + i).mul(scaleFour);
        a4 = w.fma(a, a4);
        b4 = w.fma(b, b4);
      }
      a1.intoArray(lanes, p);
      a2.intoArray(lanes, p + Lanes.COUNT);
      a3.intoArray(lanes, p + 2 * Lanes.COUNT);
      a4.intoArray(lanes, p + 3 * Lanes.COUNT);
      b1.intoArray(lanes, p + 4 * Lanes.COUNT);
      b2.intoArray(lanes, p + 5 * Lanes.COUNT);
      b3.intoArray(lanes, p + 6 * Lanes.COUNT);
      b4.intoArray(lanes, p + 7 * Lanes.COUNT);
    }
  }

  private FloatVector numbers(long element) {
    return (FloatVector)
        ByteVector.fromMemorySegment(Lanes.BYTES, bytes, element, Lanes.LITTLE)
            .convertShape(VectorOperators.B2F, Lanes.FLOATS, 0);
  }
}

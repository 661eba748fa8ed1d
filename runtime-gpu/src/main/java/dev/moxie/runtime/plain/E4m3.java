package dev.moxie.runtime.plain;

import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** E4m3 numbers in blocks of whole {@link Lanes} across, or of rows. */
final class E4m3 extends StoredMatrix.Elements {
  private static final int MAGNITUDE = 0x7f;

  /** What makes the exponent of an e4m3 one of a binary32, the mantissas standing alike. */
  private static final int BIAS = (127 - 7) << 23;

  /** The least normal magnitude; below it, numbers are multiples of 2⁻⁹. */
  private static final int NORMAL = 8;

  private final ScaleGrid grid;

  E4m3(Shape matrix, MemorySegment numbers, ScaleGrid grid) {
    super(matrix, numbers, grid);
    this.grid = grid;
  }

  @Override
  public void read(int row, float[] into, int at) {
    long first = first(row);
    long place = grid.first(row);
    for (int from = 0; from < columns(); from += grid.columns()) {
      float scale = grid.at(place++);
      int end = Math.min(from + grid.columns(), columns());
      int whole = end & -Lanes.WIDTH;
      for (int c = from; c < whole; c += Lanes.WIDTH) {
        numbers(first + c).mul(scale).intoArray(into, at + c);
      }
      for (int c = whole; c < end; c++) {
        byte code = bytes.get(ValueLayout.JAVA_BYTE, first + c);
        into[at + c] = Fp8Block.number(code) * scale;
      }
    }
  }

  @Override
  public int few() {
    return isWhole() ? FEWER : 0;
  }

  @Override
  public void dots(int row, int apart, float[] x, int at, float[] lanes) {
    for (int r = 0; r < Sums.ROWS; r++) {
      // By itself, since what C2 inlines of vectors in one method is limited.
      dot(row + r * apart, x, at, lanes, r * Lanes.COUNT);
    }
  }

  private void dot(int row, float[] x, int at, float[] lanes, int to) {
    long first = first(row);
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector sum = FloatVector.zero(Lanes.FLOATS);
      long place = grid.first(row);
      for (int from = 0; from < columns(); from += grid.columns()) {
        float scale = grid.at(place++);
        int end = Math.min(from + grid.columns(), columns());
        for (int i = from + p; i < end; i += Lanes.COUNT) {
          FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
          sum = numbers(first + i).mul(scale).fma(v, sum);
        }
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
    long first = first(row);
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a = FloatVector.zero(Lanes.FLOATS);
      FloatVector b = a;
      long place = grid.first(row);
      for (int from = 0; from < columns(); from += grid.columns()) {
        float scale = grid.at(place++);
        int end = Math.min(from + grid.columns(), columns());
        for (int i = from + p; i < end; i += Lanes.COUNT) {
          FloatVector w = numbers(first + i).mul(scale);
          a = FloatVector.fromArray(Lanes.FLOATS, x, at + i).fma(w, a);
          b = FloatVector.fromArray(Lanes.FLOATS, x, other + i).fma(w, b);
        }
      }
      a.intoArray(lanes, to + p);
      b.intoArray(lanes, to + p + Sums.ROWS * Lanes.COUNT);
    }
  }

  private FloatVector numbers(long element) {
    IntVector code =
        (IntVector)
            ByteVector.fromMemorySegment(Lanes.BYTES, bytes, element, Lanes.LITTLE)
                .convertShape(VectorOperators.B2I, Lanes.INTS, 0);
    IntVector magnitude = code.and(MAGNITUDE);
    FloatVector normal =
        magnitude.lanewise(VectorOperators.LSHL, 20).add(BIAS).reinterpretAsFloats();
    FloatVector small = ((FloatVector) magnitude.convert(VectorOperators.I2F, 0)).mul(0x1p-9f);
    return normal
        .blend(small, magnitude.compare(VectorOperators.LT, NORMAL).cast(Lanes.FLOATS))
        .blend(Float.NaN, magnitude.compare(VectorOperators.EQ, MAGNITUDE).cast(Lanes.FLOATS))
        .reinterpretAsInts()
        .or(code.and(Integer.MIN_VALUE))
        .reinterpretAsFloats();
  }
}

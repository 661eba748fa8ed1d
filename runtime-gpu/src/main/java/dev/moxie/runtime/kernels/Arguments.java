package dev.moxie.runtime.kernels;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** A parameter of a kernel, member by member, each where C++ puts it. */
public final class Arguments {
  private static final int LARGEST = 512;
  private final ByteBuffer bytes = ByteBuffer.allocate(LARGEST).order(ByteOrder.LITTLE_ENDIAN);
  private int alignment = Integer.BYTES;

  Arguments() {}

  private void align(int to) {
    alignment = Math.max(alignment, to);
    bytes.position(Math.ceilDiv(bytes.position(), to) * to);
  }

  Arguments pointer(long address) {
    align(Long.BYTES);
    bytes.putLong(address);
    return this;
  }

  Arguments pointers(long... addresses) {
    for (long address : addresses) {
      pointer(address);
    }
    return this;
  }

  /** Elements from one thing to the next. */
  Arguments distance(long elements) {
    return pointer(elements);
  }

  Arguments integers(int... values) {
    for (int value : values) {
      bytes.putInt(value);
    }
    return this;
  }

  Arguments flag(boolean value) {
    return integers(value ? 1 : 0);
  }

  Arguments floats(double... values) {
    for (double value : values) {
      bytes.putFloat((float) value);
    }
    return this;
  }

  /** A Matrix. */
  Arguments matrix(Stored matrix) {
    pointers(matrix.weights(), matrix.scales());
    integers(matrix.rows(), matrix.columns(), matrix.blockColumns());
    align(Long.BYTES);
    return this;
  }

  /** A Matrix that is none. */
  Arguments noMatrix() {
    return pointers(0, 0, 0, 0);
  }

  /** A Stored. */
  Arguments stored(Stored matrix) {
    pointers(matrix.weights(), matrix.scales());
    integers(
        matrix.encoding().code(),
        matrix.rows(),
        matrix.columns(),
        matrix.blockRows(),
        matrix.blockColumns());
    align(Long.BYTES);
    return this;
  }

  /** All bytes, as many as sizeof says. */
  public MemorySegment bytes() {
    int size = Math.ceilDiv(bytes.position(), alignment) * alignment;
    return MemorySegment.ofArray(Arrays.copyOf(bytes.array(), size));
  }
}

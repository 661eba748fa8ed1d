package dev.moxie.runtime.execution;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Limits;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/** Memory outside the heap, which ONNX Runtime reads and writes in place. */
final class FloatTensors {
  private FloatTensors() {}

  /**
   * Room for a tensor of float32.
   *
   * @throws UnsupportedException if one buffer cannot hold it
   */
  static FloatBuffer allocate(long... shape) {
    return bytes(Float.BYTES, shape).asFloatBuffer();
  }

  /**
   * Room for a tensor.
   *
   * @param size of an element, in bytes
   * @throws UnsupportedException if one buffer cannot hold it
   */
  static ByteBuffer bytes(int size, long... shape) {
    int elements = Limits.elements("a tensor", Integer.MAX_VALUE / size, shape);
    return ByteBuffer.allocateDirect(elements * size).order(ByteOrder.nativeOrder());
  }

  /**
   * Elements of a tensor that is to be an array.
   *
   * @throws UnsupportedException if none can hold it
   */
  static int elements(long... shape) {
    return Limits.elements("a tensor", Integer.MAX_VALUE / Float.BYTES, shape);
  }

  /**
   * Bytes of a tensor that lies in a segment.
   *
   * @param size of an element, in bytes
   * @throws UnsupportedException if it has more elements than kernels count
   */
  static long size(int size, long... shape) {
    return (long) size * Limits.elements("a tensor", Integer.MAX_VALUE, shape);
  }
}

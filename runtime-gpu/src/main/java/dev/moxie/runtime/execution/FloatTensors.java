package dev.moxie.runtime.execution;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/** Float32 memory outside the heap, which ONNX Runtime reads and writes in place. */
final class FloatTensors {
  private FloatTensors() {}

  static long elements(long... shape) {
    long product = 1;
    for (long extent : shape) {
      product = Math.multiplyExact(product, extent);
    }
    return product;
  }

  static FloatBuffer allocate(long... shape) {
    return ByteBuffer.allocateDirect(
            Math.toIntExact(Math.multiplyExact(elements(shape), (long) Float.BYTES)))
        .order(ByteOrder.nativeOrder())
        .asFloatBuffer();
  }
}

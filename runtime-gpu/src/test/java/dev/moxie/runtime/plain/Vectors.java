package dev.moxie.runtime.plain;

import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Shape;

/** Weights of tests: arrays instead of packages. */
public final class Vectors {
  private Vectors() {}

  /** A name for a vector. */
  public static TensorSpec.Leaf leaf(int size) {
    return new TensorSpec("a vector", Role.ROUTER_BIAS, null, Shape.of(size), null).whole();
  }

  /** The same array under any name, its rows one after the other. */
  public static Weights of(float[] elements, int columns) {
    return leaf ->
        new StoredMatrix() {
          @Override
          public int rows() {
            return elements.length / columns;
          }

          @Override
          public int columns() {
            return columns;
          }

          @Override
          public void read(int row, float[] into) {
            System.arraycopy(elements, row * columns, into, 0, columns);
          }
        };
  }
}

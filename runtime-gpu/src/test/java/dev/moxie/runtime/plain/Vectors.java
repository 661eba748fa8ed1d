package dev.moxie.runtime.plain;

import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Shape;
import java.util.List;

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
          public long storedBytes() {
            return (long) elements.length * Float.BYTES;
          }

          @Override
          public void read(int row, float[] into, int at) {
            System.arraycopy(elements, row * columns, into, at, columns);
          }
        };
  }

  /**
   * What an equation chooses of some tokens' logits, and the weights.
   *
   * @param bias empty for none
   * @return the experts [T · k], then their weights
   */
  public static List<float[]> route(Routing routing, float[] logits, int experts, float[] bias) {
    var pass = new Pass();
    var program = new Program(of(bias, Math.max(1, bias.length)), pass);
    Value l = program.input(experts);
    Forward.Routed<Value> routed = Forward.route(program, routing, experts, l, leaf(experts), null);
    int tokens = logits.length / experts;
    pass.begin(null);
    pass.add(new Past(), 0, tokens);
    pass.set(l, logits);
    program.run();
    return List.of(pass.copy(routed.chosen()), pass.copy(routed.weights()));
  }
}

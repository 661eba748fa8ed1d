package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Ops;
import dev.moxie.runtime.lowering.OpGraph;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.Session;
import dev.moxie.runtime.ort.Tensor;
import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Past;
import dev.moxie.runtime.plain.Program;
import dev.moxie.runtime.plain.Value;
import dev.moxie.runtime.plain.Vectors;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Operations that no whole model needs of a graph, against the same in Java. */
class OpGraphTest {
  private static final int TOKENS = 5;
  private static final int WIDTH = 6;

  /** Experts that are clamped are one operator. */
  @Test
  void aClampedGate() {
    var clamp = new FeedForward.Clamp(0.75, 1.702, 0.5);
    requireSame(
        new OpGraph.Op() {
          @Override
          public <V> V of(Ops<V> ops, V a, V b) {
            return ops.gate(FeedForward.Activation.SILU, clamp, a, b);
          }
        });
  }

  /** Layers for multi-token prediction do that. */
  @Test
  void columnsOfTwo() {
    requireSame(
        new OpGraph.Op() {
          @Override
          public <V> V of(Ops<V> ops, V a, V b) {
            return ops.join(a, b);
          }
        });
  }

  private static void requireSame(OpGraph.Op op) {
    var random = new Random(1);
    float[] a = new float[TOKENS * WIDTH];
    float[] b = new float[TOKENS * WIDTH];
    for (int i = 0; i < a.length; i++) {
      a[i] = (float) random.nextGaussian();
      b[i] = (float) random.nextGaussian();
    }
    var pass = new Pass();
    var program = new Program(Vectors.of(new float[0], 1), pass);
    Value left = program.input(WIDTH);
    Value right = program.input(WIDTH);
    Value result = op.of(program, left, right);
    pass.begin(null);
    pass.add(new Past(), 0, TOKENS);
    pass.set(left, a);
    pass.set(right, b);
    program.run();
    float[] expected = pass.copy(result);
    FloatBuffer y = FloatTensors.allocate(TOKENS, result.columns());
    try (Session session =
            Engine.session(OpGraph.of(op, WIDTH), Path.of(""), new HostMemory()::addTo);
        Binding binding = session.binding();
        Tensor one = tensor(a);
        Tensor two = tensor(b);
        Tensor out = Engine.wrap(y, TOKENS, result.columns())) {
      Engine.run(binding, Map.of("a", one, "b", two), Map.of("y", out));
    }
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], y.get(i), 1e-6);
    }
  }

  private static Tensor tensor(float[] values) {
    return Engine.wrap(FloatTensors.allocate(TOKENS, WIDTH).put(values).flip(), TOKENS, WIDTH);
  }
}

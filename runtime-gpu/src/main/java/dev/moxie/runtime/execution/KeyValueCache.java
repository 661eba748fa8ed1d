package dev.moxie.runtime.execution;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.lowering.CacheLayout;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.Tensor;
import java.lang.foreign.Arena;
import java.util.stream.IntStream;

/**
 * Keys and values of one sequence. Each tensor goes into a graph as the past and comes out as the
 * present, in place: attention appends to it and nothing is copied. Keys and values that are the
 * same compressed latent are one tensor, to which the operator appends the same numbers twice.
 */
final class KeyValueCache {
  private KeyValueCache() {}

  /** Binds memory for that of some layers, which is there until the arena is closed. */
  static void bind(
      Binding binding,
      Memory memory,
      Arena arena,
      Architecture architecture,
      IntStream layers,
      Target target,
      int capacity) {
    layers.forEach(
        layer -> {
          var layout = CacheLayout.of(architecture.layers().get(layer).attention(), target);
          try (Tensor keys = allocate(memory, arena, layout, target, capacity);
              Tensor values =
                  layout.latent() ? keys : allocate(memory, arena, layout, target, capacity)) {
            binding.input(Lowering.pastKey(layer), keys);
            binding.output(Lowering.presentKey(layer), keys);
            binding.input(Lowering.pastValue(layer), values);
            binding.output(Lowering.presentValue(layer), values);
          }
        });
  }

  private static Tensor allocate(
      Memory memory, Arena arena, CacheLayout layout, Target target, int capacity) {
    ElementType type = target.compute() == Dtype.F16 ? ElementType.FLOAT16 : ElementType.FLOAT;
    long[] shape = layout.shape(capacity);
    return memory.tensor(
        memory.allocate(arena, FloatTensors.size(type.bytes(), shape)), type, shape);
  }
}

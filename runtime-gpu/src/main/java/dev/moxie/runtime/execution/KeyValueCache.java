package dev.moxie.runtime.execution;

import ai.onnxruntime.OnnxTensor;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.lowering.CacheLayout;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Keys and values of one sequence. Each tensor goes into a graph as the past and comes out as the
 * present, in place: attention appends to it and nothing is copied. Keys and values that are the
 * same compressed latent are one tensor, to which the operator appends the same numbers twice.
 */
final class KeyValueCache implements AutoCloseable {
  private final Map<Integer, OnnxTensor> keys = new HashMap<>();
  private final Map<Integer, OnnxTensor> values = new HashMap<>();
  private final int capacity;

  /** Of some layers. */
  KeyValueCache(Architecture architecture, IntStream layers, Target target, int capacity) {
    this.capacity = capacity;
    layers.forEach(
        layer -> {
          var layout = CacheLayout.of(architecture.layers().get(layer).attention(), target);
          OnnxTensor key = allocate(layout, target, capacity);
          keys.put(layer, key);
          values.put(layer, layout.latent() ? key : allocate(layout, target, capacity));
        });
  }

  private static OnnxTensor allocate(CacheLayout layout, Target target, int capacity) {
    long[] shape = layout.shape(capacity);
    return target.compute() == Dtype.F16 ? Engine.halves(shape) : Engine.floats(shape);
  }

  int capacity() {
    return capacity;
  }

  /** Adds what its layers take and give. */
  void bind(Map<String, OnnxTensor> inputs, Map<String, OnnxTensor> outputs) {
    keys.forEach(
        (layer, key) -> {
          inputs.put(Lowering.pastKey(layer), key);
          outputs.put(Lowering.presentKey(layer), key);
        });
    values.forEach(
        (layer, value) -> {
          inputs.put(Lowering.pastValue(layer), value);
          outputs.put(Lowering.presentValue(layer), value);
        });
  }

  @Override
  public void close() {
    Stream.concat(keys.values().stream(), values.values().stream())
        .distinct()
        .forEach(OnnxTensor::close);
  }
}

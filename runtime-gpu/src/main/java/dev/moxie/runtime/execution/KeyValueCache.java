package dev.moxie.runtime.execution;

import ai.onnxruntime.OnnxTensor;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.lowering.CacheLayout;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Keys and values of one sequence. Each tensor goes into a graph as the past and comes out as the
 * present, in place: attention appends to it and nothing is copied. Keys and values that are the
 * same compressed latent are one tensor, to which the operator appends the same numbers twice.
 */
final class KeyValueCache implements AutoCloseable {
  private final List<OnnxTensor> keys = new ArrayList<>();
  private final List<OnnxTensor> values = new ArrayList<>();
  private final int capacity;

  KeyValueCache(Architecture architecture, Target target, int capacity) {
    this.capacity = capacity;
    for (Architecture.Blocks block : architecture.layers()) {
      CacheLayout layout = CacheLayout.of(block.attention(), target);
      OnnxTensor key = allocate(layout, target, capacity);
      keys.add(key);
      values.add(layout.latent() ? key : allocate(layout, target, capacity));
    }
  }

  private static OnnxTensor allocate(CacheLayout layout, Target target, int capacity) {
    long[] shape = layout.shape(capacity);
    return target.compute() == Dtype.F16 ? Engine.halves(shape) : Engine.floats(shape);
  }

  int capacity() {
    return capacity;
  }

  void bind(int layer, Map<String, OnnxTensor> inputs, Map<String, OnnxTensor> outputs) {
    inputs.put(Lowering.pastKey(layer), keys.get(layer));
    inputs.put(Lowering.pastValue(layer), values.get(layer));
    outputs.put(Lowering.presentKey(layer), keys.get(layer));
    outputs.put(Lowering.presentValue(layer), values.get(layer));
  }

  @Override
  public void close() {
    Stream.concat(keys.stream(), values.stream()).distinct().forEach(OnnxTensor::close);
  }
}

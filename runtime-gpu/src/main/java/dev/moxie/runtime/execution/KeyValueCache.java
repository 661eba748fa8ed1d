package dev.moxie.runtime.execution;

import ai.onnxruntime.OnnxTensor;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.lowering.Lowering;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Keys and values of one sequence. Each tensor goes into a graph as the past and comes out as the
 * present, in place: attention appends to it and nothing is copied.
 */
final class KeyValueCache implements AutoCloseable {
  private final List<OnnxTensor> keys = new ArrayList<>();
  private final List<OnnxTensor> values = new ArrayList<>();
  private final int capacity;

  KeyValueCache(Architecture architecture, Dtype dtype, int capacity) {
    this.capacity = capacity;
    for (int layer = 0; layer < architecture.layers().size(); layer++) {
      long[] shape = Lowering.cacheShape(architecture, layer, capacity);
      keys.add(dtype == Dtype.F16 ? Engine.halves(shape) : Engine.floats(shape));
      values.add(dtype == Dtype.F16 ? Engine.halves(shape) : Engine.floats(shape));
    }
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
    keys.forEach(OnnxTensor::close);
    values.forEach(OnnxTensor::close);
  }
}

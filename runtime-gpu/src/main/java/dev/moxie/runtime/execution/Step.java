package dev.moxie.runtime.execution;

import ai.onnxruntime.OnnxTensor;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.plain.RotaryAngles;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The tensors that say where S new tokens stand in the sequence. */
final class Step implements AutoCloseable {
  private final Map<String, OnnxTensor> inputs = new HashMap<>();

  /**
   * @param rotaries every way in which layers turn queries and keys
   * @param past tokens before the new ones
   * @param tokens S
   */
  Step(List<RotaryAngles> rotaries, int past, int tokens) {
    for (int r = 0; r < rotaries.size(); r++) {
      RotaryAngles angles = rotaries.get(r);
      FloatBuffer cos = FloatTensors.allocate(tokens, angles.pairs());
      FloatBuffer sin = FloatTensors.allocate(tokens, angles.pairs());
      for (int t = 0; t < tokens; t++) {
        for (int i = 0; i < angles.pairs(); i++) {
          cos.put(angles.cos(past + t, i));
          sin.put(angles.sin(past + t, i));
        }
      }
      inputs.put(Lowering.cos(r), Engine.wrap(cos.flip(), 1, tokens, angles.pairs()));
      inputs.put(Lowering.sin(r), Engine.wrap(sin.flip(), 1, tokens, angles.pairs()));
    }
    inputs.put("last_position", Engine.integer(past + tokens - 1, 1));
    inputs.put("total_length", Engine.integer(past + tokens));
  }

  Map<String, OnnxTensor> inputs() {
    return inputs;
  }

  @Override
  public void close() {
    inputs.values().forEach(OnnxTensor::close);
  }
}

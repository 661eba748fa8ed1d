package dev.moxie.runtime.execution;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtSession;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.Map;

/** One graph for the whole model; the provider routes inside its MoE operator. */
final class FusedModel extends CachedModel {
  private final OrtSession session;

  FusedModel(MoxiePackage pack, Device device, Target target) {
    super(pack, device, target);
    session = session(new Lowering(pack, target).wholeModel());
  }

  @Override
  float[] forward(long[] ids, Step step) {
    int vocabulary = pack.architecture().vocabSize();
    FloatBuffer logits = FloatTensors.allocate(ids.length, vocabulary);
    try (OnnxTensor tokens = Engine.longs(ids);
        OnnxTensor result = Engine.wrap(logits, ids.length, vocabulary)) {
      Map<String, OnnxTensor> inputs = new HashMap<>(step.inputs());
      Map<String, OnnxTensor> outputs = new HashMap<>();
      inputs.put("ids", tokens);
      outputs.put("logits", result);
      for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
        cache().bind(layer, inputs, outputs);
      }
      Engine.run(session, inputs, outputs);
    }
    float[] copy = new float[logits.remaining()];
    logits.get(copy);
    return copy;
  }

  @Override
  public void close() {
    super.close();
    Engine.close(session);
  }
}

package dev.moxie.runtime.execution;

import ai.onnx.proto.OnnxMl;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtSession;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.plain.RotaryAngles;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** One graph for the whole model; the provider routes inside its MoE operator. */
public final class FusedModel implements Model {
  private final MoxiePackage pack;
  private final Target target;
  private final List<RotaryAngles> angles;
  private final OrtSession session;
  private @Nullable KeyValueCache cache;
  private int capacity;
  private int length;

  /**
   * Opens a package as a graph built for a target, whichever device it runs on.
   *
   * @throws UnsupportedException if no graph computes such a model, or its numbers are none that
   *     can be computed with
   */
  public static FusedModel open(
      MoxiePackage pack, Device device, Target target, LoweringProof proof) {
    return opening(pack, device, target, false)
        .proven(new FusedModel(pack, device, new Lowering(pack, target), target), proof);
  }

  private FusedModel(MoxiePackage pack, Device device, Lowering lowering, Target target) {
    this.pack = pack;
    this.target = target;
    angles = lowering.rotaries().stream().map(RotaryAngles::new).toList();
    OnnxMl.ModelProto graph = lowering.wholeModel();
    requireIntact(pack, graph);
    session = Engine.session(graph, pack.folder(), device);
  }

  /** The same with the experts in another order ({@link ExpertOrder}). */
  public static FusedModel openPermuted(
      MoxiePackage pack, Device device, Target target, LoweringProof proof) {
    return opening(pack, device, target, true)
        .proven(new FusedModel(pack, device, Lowering.permuted(pack, target), target), proof);
  }

  private static Opening opening(
      MoxiePackage pack, Device device, Target target, boolean permuted) {
    return new Opening(pack, Execution.FUSED, device, target, permuted);
  }

  /**
   * Weights of a graph must be as they were written.
   *
   * @return how many bytes they have
   */
  static long requireIntact(MoxiePackage pack, OnnxMl.ModelProto graph) {
    long bytes = 0;
    for (OnnxMl.TensorProto tensor : graph.getGraph().getInitializerList()) {
      if (tensor.getExternalDataCount() > 0) {
        Map<String, String> place =
            tensor.getExternalDataList().stream()
                .collect(
                    Collectors.toMap(
                        OnnxMl.StringStringEntryProto::getKey,
                        OnnxMl.StringStringEntryProto::getValue));
        long length = Long.parseLong(place.getOrDefault("length", "0"));
        pack.requireIntact(
            place.getOrDefault("location", ""),
            Long.parseLong(place.getOrDefault("offset", "0")),
            length);
        bytes += length;
      }
    }
    return bytes;
  }

  @Override
  public void begin(int tokens) {
    if (cache == null || cache.capacity() != tokens) {
      closeCache();
      IntStream layers = IntStream.range(0, pack.architecture().layers().size());
      cache = new KeyValueCache(pack.architecture(), layers, target, tokens);
    }
    capacity = tokens;
    length = 0;
  }

  @Override
  public float[] append(long[] ids) {
    Tokens.require(ids, pack.architecture().vocabSize(), length, capacity);
    int first = length;
    length += ids.length;
    return forward(ids, first);
  }

  @Override
  public int length() {
    return length;
  }

  private float[] forward(long[] ids, int first) {
    int vocabulary = pack.architecture().vocabSize();
    FloatBuffer logits = FloatTensors.allocate(ids.length, vocabulary);
    try (Step step = new Step(angles, first, ids.length);
        OnnxTensor tokens = Engine.longs(ids);
        OnnxTensor result = Engine.wrap(logits, ids.length, vocabulary)) {
      Map<String, OnnxTensor> inputs = new HashMap<>(step.inputs());
      Map<String, OnnxTensor> outputs = new HashMap<>();
      inputs.put("ids", tokens);
      outputs.put("logits", result);
      Objects.requireNonNull(cache).bind(inputs, outputs);
      Engine.run(session, inputs, outputs);
    }
    float[] copy = new float[logits.remaining()];
    logits.get(copy);
    return copy;
  }

  private void closeCache() {
    if (cache != null) {
      cache.close();
    }
  }

  @Override
  public void close() {
    closeCache();
    Engine.close(session);
  }
}

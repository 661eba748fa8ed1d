package dev.moxie.runtime.execution;

import ai.onnx.proto.OnnxMl;
import ai.onnxruntime.OrtSession;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What both executions share: the sequence, its cache and the positions of its tokens. */
abstract class CachedModel implements Model {
  final MoxiePackage pack;
  private final Device device;
  private final Target target;
  private final RotaryAngles angles;
  private @Nullable KeyValueCache cache;
  private int length;

  CachedModel(MoxiePackage pack, Device device, Target target) {
    this.pack = pack;
    this.device = device;
    this.target = target;
    this.angles = new RotaryAngles(new Lowering(pack, target).rotary());
  }

  @Override
  public final void begin(int capacity) {
    if (cache == null || cache.capacity() != capacity) {
      closeCache();
      cache = new KeyValueCache(pack.architecture(), target, capacity);
    }
    length = 0;
  }

  @Override
  public final float[] append(long[] ids) {
    requireTokens(ids);
    try (Step step = advance(ids.length)) {
      return forward(ids, step);
    }
  }

  final void requireTokens(long[] ids) {
    for (long id : ids) {
      if (id < 0 || id >= pack.architecture().vocabSize()) {
        throw new IllegalArgumentException(
            "token " + id + " is not among the " + pack.architecture().vocabSize());
      }
    }
  }

  /** Opens a session for a graph, whose weights must be as they were written. */
  final OrtSession session(OnnxMl.ModelProto graph) {
    for (OnnxMl.TensorProto tensor : graph.getGraph().getInitializerList()) {
      if (tensor.getExternalDataCount() > 0) {
        Map<String, String> place =
            tensor.getExternalDataList().stream()
                .collect(
                    Collectors.toMap(
                        OnnxMl.StringStringEntryProto::getKey,
                        OnnxMl.StringStringEntryProto::getValue));
        pack.requireIntact(
            place.getOrDefault("location", ""),
            Long.parseLong(place.getOrDefault("offset", "0")),
            Long.parseLong(place.getOrDefault("length", "0")));
      }
    }
    return Engine.session(graph, pack.folder(), device);
  }

  /** Makes room for so many new tokens. */
  final Step advance(int tokens) {
    if (tokens < 1 || length + tokens > cache().capacity()) {
      throw new IllegalArgumentException(
          tokens + " more tokens do not fit a sequence of " + cache().capacity());
    }
    var step = new Step(angles, length, tokens);
    length += tokens;
    return step;
  }

  abstract float[] forward(long[] ids, Step step);

  final KeyValueCache cache() {
    if (cache == null) {
      throw new IllegalStateException("begin comes before append");
    }
    return cache;
  }

  @Override
  public final int length() {
    return length;
  }

  private void closeCache() {
    if (cache != null) {
      cache.close();
    }
  }

  @Override
  public void close() {
    closeCache();
  }
}

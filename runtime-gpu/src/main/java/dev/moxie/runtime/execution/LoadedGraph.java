package dev.moxie.runtime.execution;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.Session;
import java.util.Map;
import java.util.stream.Collectors;

/** A graph over a package's weights, ready to run on some memory. */
final class LoadedGraph implements AutoCloseable {
  private final Session session;
  private final BoundWeights weights;

  /**
   * Loads a graph; its weights must be as they were written.
   *
   * @param target that it was built for
   */
  LoadedGraph(MoxiePackage pack, OnnxMl.ModelProto model, Target target, Memory memory) {
    requireIntact(pack, model.getGraph());
    weights = new BoundWeights(pack, model.getGraph(), target, memory);
    try {
      session = Engine.session(model, pack.folder(), memory::addTo);
    } catch (RuntimeException | Error e) {
      weights.close();
      throw e;
    }
  }

  private static void requireIntact(MoxiePackage pack, OnnxMl.GraphProto graph) {
    for (OnnxMl.TensorProto tensor : graph.getInitializerList()) {
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
  }

  /** What it reads and writes, of which the weights are bound; to be closed before it is. */
  Binding binding() {
    Binding binding = session.binding();
    weights.bind(binding);
    return binding;
  }

  @Override
  public void close() {
    session.close();
    weights.close();
  }
}

package dev.moxie.runtime.execution;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.Session;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** A graph over a package's weights, ready to run on some memory. */
final class LoadedGraph implements AutoCloseable {
  private final Session session;
  private final BoundWeights weights;
  private final Set<String> inputs;
  private final long bytes;

  /**
   * Loads a graph; its weights must be as they were written.
   *
   * @param target that it was built for
   */
  LoadedGraph(MoxiePackage pack, OnnxMl.ModelProto model, Target target, Memory memory) {
    inputs =
        model.getGraph().getInputList().stream()
            .map(OnnxMl.ValueInfoProto::getName)
            .collect(Collectors.toUnmodifiableSet());
    long external = requireIntact(pack, model.getGraph());
    weights = new BoundWeights(pack, inputs, target, memory);
    bytes = external + weights.bytes();
    try {
      session = Engine.session(model, pack.folder(), memory::addTo);
    } catch (RuntimeException | Error e) {
      weights.close();
      throw e;
    }
  }

  /** What it takes, by name. */
  Set<String> inputs() {
    return inputs;
  }

  /** Bytes of its weights, about. */
  long bytes() {
    return bytes;
  }

  private static long requireIntact(MoxiePackage pack, OnnxMl.GraphProto graph) {
    long bytes = 0;
    for (OnnxMl.TensorProto tensor : graph.getInitializerList()) {
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

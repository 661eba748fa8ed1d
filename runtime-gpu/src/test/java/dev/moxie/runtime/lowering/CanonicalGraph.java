package dev.moxie.runtime.lowering;

import ai.onnx.proto.OnnxMl;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;

/**
 * What a model computes, in one form whatever its nodes' order and the names of the values between
 * them: nodes stand as its outputs, by name, first need them. Weights are named, but not placed.
 */
final class CanonicalGraph {
  private final Map<String, OnnxMl.TensorProto> constants = new HashMap<>();
  private final Map<String, OnnxMl.NodeProto> makers = new HashMap<>();
  private final Map<String, String> names = new HashMap<>();
  private final OnnxMl.GraphProto.Builder canonical = OnnxMl.GraphProto.newBuilder();

  private CanonicalGraph(OnnxMl.GraphProto graph) {
    graph.getInputList().stream()
        .sorted(Comparator.comparing(OnnxMl.ValueInfoProto::getName))
        .forEach(this::keep);
    graph.getInitializerList().forEach(tensor -> constants.put(tensor.getName(), tensor));
    for (OnnxMl.NodeProto node : graph.getNodeList()) {
      node.getOutputList().forEach(output -> makers.put(output, node));
    }
    graph.getOutputList().stream()
        .sorted(Comparator.comparing(OnnxMl.ValueInfoProto::getName))
        .forEach(
            output -> {
              canonical.addOutput(output);
              canonical.addNode(
                  OnnxMl.NodeProto.newBuilder()
                      .setOpType("output")
                      .addInput(name(output.getName())));
            });
    if (canonical.getNodeCount() != graph.getNodeCount() + graph.getOutputCount()) {
      throw new IllegalArgumentException("a node that no output needs");
    }
  }

  static OnnxMl.GraphProto of(OnnxMl.ModelProto model) {
    return new CanonicalGraph(model.getGraph()).canonical.build();
  }

  private void keep(OnnxMl.ValueInfoProto input) {
    canonical.addInput(input);
    names.put(input.getName(), input.getName());
  }

  private String name(String value) {
    if (value.isEmpty() || names.containsKey(value)) {
      return names.getOrDefault(value, "");
    }
    OnnxMl.TensorProto constant = constants.get(value);
    if (constant == null) {
      add(makers.get(value));
    } else {
      String name = constant.getExternalDataCount() > 0 ? value : next();
      names.put(value, name);
      canonical.addInitializer(constant.toBuilder().setName(name).clearExternalData());
    }
    return names.get(value);
  }

  private void add(OnnxMl.NodeProto node) {
    OnnxMl.NodeProto.Builder copy = node.toBuilder().clearName().clearInput().clearOutput();
    node.getInputList().forEach(input -> copy.addInput(name(input)));
    for (String output : node.getOutputList()) {
      String name = next();
      names.put(output, name);
      copy.addOutput(name);
    }
    canonical.addNode(copy);
  }

  private String next() {
    return "value_" + names.size();
  }
}

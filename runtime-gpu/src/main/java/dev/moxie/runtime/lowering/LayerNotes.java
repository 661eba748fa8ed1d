package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import dev.moxie.format.model.Step;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;

/** Makes an output of every named value, in float32, and lets the caller choose the experts. */
final class LayerNotes implements Notes {
  private final Graph graph;

  LayerNotes(Graph graph) {
    this.graph = graph;
  }

  @Override
  public Onnx.Value of(String name, Onnx.Value x) {
    if (name.equals(Step.INPUT.id())) {
      return x;
    }
    graph.standard(
        "Cast", List.of(x.name()), List.of(name), attribute("to", Graph.type(Dtype.F32)));
    graph.output(name, Dtype.F32, "S", x.width());
    return name.equals(Step.ROUTER_EXPERTS.id()) ? chosen(x) : x;
  }

  /** The caller's experts; where those are negative, the graph's own. */
  private Onnx.Value chosen(Onnx.Value own) {
    String given = graph.reshape(graph.input(Lowering.EXPERTS, Dtype.I64, "S*k"), -1, own.width());
    String isGiven = graph.node("GreaterOrEqual", List.of(given, graph.whole(0)));
    return Onnx.Value.of(graph.node("Where", List.of(isGiven, given, own.name())), own.width());
  }
}

package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Dtype;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** All routed experts of a layer in one operator. */
final class ExpertsBuilder {
  private final Graph graph;
  private final Dtype compute;
  private final Weights weights;
  private final RoutingBuilder routing;

  ExpertsBuilder(Graph graph, Dtype compute, Weights weights, RoutingBuilder routing) {
    this.graph = graph;
    this.compute = compute;
    this.weights = weights;
    this.routing = routing;
  }

  /** A token's experts together, which the operator weighs and adds up, [S, H]. */
  String together(Ops.Experts all, String x, String scores, Onnx.Value chosen, String weighed) {
    String logits = routing.disguised(scores, chosen.name(), weighed);
    String output = operator(all, x, logits, chosen.width());
    return graph.node("Mul", List.of(output, fromF32(routing.total(weighed))));
  }

  /**
   * Every pair of token and expert as a row of its own, for weights that the operator cannot be
   * given: those of what experts read, and negative ones.
   */
  String apart(Ops.Experts all, String x, Onnx.Value chosen, String weighed) {
    long count = chosen.width();
    boolean before = all.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_INPUT;
    String factors = fromF32(graph.node("Unsqueeze", List.of(weighed, graph.longs(2))));
    String each = graph.node("Unsqueeze", List.of(x, graph.longs(1)));
    String rows =
        before
            ? graph.node("Mul", List.of(each, factors))
            : graph.node("Expand", List.of(each, graph.longs(1, count, 1)));
    int experts = stack(all.down()).experts();
    String logits =
        graph.node(
            "OneHot",
            List.of(
                graph.reshape(chosen.name(), -1),
                graph.longs(experts),
                graph.floats(Float.NEGATIVE_INFINITY, 0)));
    long hidden = stack(all.down()).each().dim(0);
    String outputs = operator(all, graph.reshape(rows, -1, hidden), logits, 1);
    String byToken = graph.reshape(outputs, -1, count, hidden);
    return graph.node(
        "ReduceSum",
        List.of(before ? byToken : graph.node("Mul", List.of(byToken, factors)), graph.longs(1)),
        attribute("keepdims", 0));
  }

  /** The operator: softmax of the logits, renormalised over the k largest, weighs the experts. */
  private String operator(Ops.Experts all, String x, String logits, int k) {
    Ops.ExpertBiases biases = all.biases();
    String gateUp = alternating(all.gateUp(), weights.stack(all.gateUp()));
    String gateUpBias =
        biases == null ? "" : alternating(biases.gateUp(), weights.stack(biases.gateUp()));
    List<String> inputs =
        new ArrayList<>(List.of(x, fromF32(logits), gateUp, gateUpBias, weights.stack(all.down())));
    if (biases != null) {
      inputs.add(weights.stack(biases.down()));
    }
    FeedForward.Clamp clamp = all.clamp();
    List<OnnxMl.AttributeProto> attributes =
        new ArrayList<>(
            List.of(
                attribute("k", k),
                attribute("activation_type", "swiglu"),
                attribute("activation_alpha", clamp == null ? 1f : (float) clamp.sharpness()),
                attribute("activation_beta", clamp == null ? 0f : (float) clamp.offset()),
                // Rows alternating: 2, gate then up, is unknown to the CPU provider, and on CUDA
                // wrong with
                // some kernel tactics in float16.
                attribute("swiglu_fusion", 1),
                // Also keeps clear of the 1.29 CPU kernel that returns zeros when it may run in
                // place.
                attribute("normalize_routing_weights", 1)));
    if (clamp != null) {
      attributes.add(attribute("swiglu_limit", (float) clamp.limit()));
    }
    String output = "moe_" + all.down().layer();
    graph.contrib("MoE", inputs, List.of(output), attributes.toArray(OnnxMl.AttributeProto[]::new));
    return output;
  }

  /** Gate rows then up rows of every expert, [E, 2I, ..], to gate and up rows alternating. */
  private String alternating(TensorSpec gateUp, String x) {
    TensorSpec.Stack stack = stack(gateUp);
    long experts = stack.experts();
    long rows = stack.each().dim(0);
    if (stack.each().rank() == 1) {
      return graph.reshape(
          graph.transpose(graph.reshape(x, experts, 2, rows), 0, 2, 1), experts, 2 * rows);
    }
    long columns = stack.each().dim(1);
    return graph.reshape(
        graph.transpose(graph.reshape(x, experts, 2, rows, columns), 0, 2, 1, 3),
        experts,
        2 * rows,
        columns);
  }

  private static TensorSpec.Stack stack(TensorSpec tensor) {
    return Objects.requireNonNull(tensor.stack(), tensor.name());
  }

  private String fromF32(String x) {
    return graph.cast(x, Dtype.F32, compute);
  }
}

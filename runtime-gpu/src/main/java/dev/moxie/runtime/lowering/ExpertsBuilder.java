package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** All routed experts of a layer in one operator. */
final class ExpertsBuilder {
  /** Numbers of float16 in 16 bytes, of which kernels of experts read whole ones. */
  private static final int ALIGNED = 8;

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
    requireAligned(stack(all.down()).each(), Objects.requireNonNull(all.down().layer()));
    Ops.ExpertBiases biases = all.biases();
    List<String> inputs = new ArrayList<>();
    inputs.addAll(List.of(x, fromF32(logits), weights.alternating(all.gateUp())));
    inputs.add(biases == null ? "" : weights.alternating(biases.gateUp()));
    inputs.add(weights.stack(all.down()));
    if (biases != null) {
      inputs.add(weights.stack(biases.down()));
    }
    FeedForward.Clamp clamp = all.clamp();
    List<OnnxMl.AttributeProto> attributes = new ArrayList<>();
    attributes.add(attribute("k", k));
    attributes.add(attribute("activation_type", "swiglu"));
    attributes.add(attribute("activation_alpha", clamp == null ? 1 : (float) clamp.sharpness()));
    attributes.add(attribute("activation_beta", clamp == null ? 0 : (float) clamp.offset()));
    // Rows alternating: 2, gate then up, is unknown to the CPU provider, and on CUDA wrong with
    // some kernel tactics in float16.
    attributes.add(attribute("swiglu_fusion", 1));
    // Also keeps clear of the 1.29 CPU kernel that returns zeros when it may run in place.
    attributes.add(attribute("normalize_routing_weights", 1));
    if (clamp != null) {
      attributes.add(attribute("swiglu_limit", (float) clamp.limit()));
    }
    String output = "moe_" + all.down().layer();
    graph.contrib("MoE", inputs, List.of(output), attributes.toArray(OnnxMl.AttributeProto[]::new));
    return output;
  }

  /**
   * Rows that begin elsewhere are refused on CUDA, some by an error that takes the process along.
   */
  private void requireAligned(Shape down, int layer) {
    if (compute == Dtype.F16 && (down.dim(0) % ALIGNED != 0 || down.dim(1) % ALIGNED != 0)) {
      throw new UnsupportedException(
          "layer " + layer + " in " + compute,
          "experts whose hidden and intermediate size are multiples of "
              + ALIGNED
              + ", as the operator's kernels take them",
          down.dim(0) + " and " + down.dim(1),
          "use --device cpu");
    }
  }

  private static TensorSpec.Stack stack(TensorSpec tensor) {
    return Objects.requireNonNull(tensor.stack(), tensor.name());
  }

  private String fromF32(String x) {
    return graph.cast(x, Dtype.F32, compute);
  }
}

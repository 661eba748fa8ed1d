package dev.moxie.runtime.lowering;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;

/**
 * Routing alone as a graph: {@code router_logits} [S, E] and {@code bias} [E] to what the MoE
 * operator is given, {@code disguised} [S, E], and to {@code total} [S, 1].
 */
public final class RoutingGraph {
  private RoutingGraph() {}

  public static OnnxMl.ModelProto of(FeedForward.MixtureOfExperts moe) {
    Graph graph = new Graph("routing");
    String logits = graph.input("router_logits", Dtype.F32, "S", moe.experts());
    String bias = graph.input("bias", Dtype.F32, moe.experts());
    RoutingBuilder.Disguised routed = new RoutingBuilder(graph).route("routing", moe, logits, bias);
    graph.standard("Identity", List.of(routed.logits()), List.of("disguised"));
    graph.standard("Identity", List.of(routed.total()), List.of("total"));
    graph.output("disguised", Dtype.F32, "S", moe.experts());
    graph.output("total", Dtype.F32, "S", 1);
    return graph.model();
  }
}

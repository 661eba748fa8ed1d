package dev.moxie.runtime.lowering;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;

/**
 * Routing alone as a graph: {@code router_logits} [S, E] and {@code bias} [E] to {@code chosen} and
 * {@code weights}, [S, k] each.
 */
public final class RoutingGraph {
  private RoutingGraph() {}

  public static OnnxMl.ModelProto of(FeedForward.MixtureOfExperts moe) {
    Graph graph = new Graph("routing");
    int k = moe.routing().expertsPerToken();
    String logits = graph.input("router_logits", Dtype.F32, "S", moe.experts());
    String bias = graph.input("bias", Dtype.F32, moe.experts());
    var reader = new Onnx(graph, Target.CPU, new NoWeights(bias), List.of(), Notes.NONE);
    Forward.Routed<Onnx.Value> routed =
        Forward.route(
            reader,
            moe.routing(),
            moe.experts(),
            Onnx.Value.of(logits, moe.experts()),
            Forward.routerBias(0, moe),
            null);
    String chosen = graph.cast(routed.chosen().name(), Dtype.I64, Dtype.F32);
    graph.standard("Identity", List.of(chosen), List.of("chosen"));
    graph.standard("Identity", List.of(routed.weights().name()), List.of("weights"));
    graph.output("chosen", Dtype.F32, "S", k);
    graph.output("weights", Dtype.F32, "S", k);
    return graph.model();
  }
}

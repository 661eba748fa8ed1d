package dev.moxie.runtime.lowering;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.model.Ops;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;

/** One operation alone as a graph: {@code a} and {@code b} [S, width] to {@code y}. */
public final class OpGraph {
  private OpGraph() {}

  /** An operation of two activations. */
  public interface Op {
    <V> V of(Ops<V> ops, V a, V b);
  }

  public static OnnxMl.ModelProto of(Op op, int width) {
    Graph graph = new Graph("op");
    Onnx.Value a = Onnx.Value.of(graph.input("a", Dtype.F32, "S", width), width);
    Onnx.Value b = Onnx.Value.of(graph.input("b", Dtype.F32, "S", width), width);
    var reader = new Onnx(graph, Target.CPU, new NoWeights(""), List.of(), Notes.NONE);
    Onnx.Value y = op.of(reader, a, b);
    graph.standard("Identity", List.of(y.name()), List.of("y"));
    graph.output("y", Dtype.F32, "S", y.width());
    return graph.model();
  }
}

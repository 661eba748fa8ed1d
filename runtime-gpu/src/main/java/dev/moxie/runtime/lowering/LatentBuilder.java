package dev.moxie.runtime.lowering;

import dev.moxie.format.model.Attention;
import dev.moxie.runtime.lowering.AttentionBuilder.Heads;
import java.util.List;

/** Latent attention in the two forms that the attention operator takes. */
final class LatentBuilder {
  private final Graph graph;
  private final AttentionBuilder attention;

  LatentBuilder(Graph graph, AttentionBuilder attention) {
    this.graph = graph;
    this.attention = attention;
  }

  /**
   * The absorbed form: since q · (U c) = (Uᵀ q) · c, queries are taken to the latent's space, where
   * all heads share one key, [c; r], which is its own value; so the latent is all that is cached
   * (DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1.2).
   *
   * @param up [heads · (plainSize + valueSize), latentSize]
   */
  Onnx.Value absorbed(
      int layer, Attention.MultiHeadLatent a, Onnx.Value q, Onnx.Value c, Onnx.Value r, String up) {
    int width = c.width() + r.width();
    List<String> query = attention.parts(AttentionBuilder.heads(q, a.headSize()), a.plainSize());
    String inLatent = perHead(query.get(0), ofUp(a, up, 0, a.plainSize()));
    var key = new Heads(graph.concat(c.name(), r.name(), 1), 1, width);
    Onnx.Value context =
        attention.attend(
            layer,
            a,
            new Heads(graph.concat(inLatent, query.get(1), 2), a.heads(), width),
            key,
            key,
            null,
            c.width());
    String byHead = attention.split(AttentionBuilder.heads(context, c.width()));
    String values = graph.transpose(ofUp(a, up, a.plainSize(), rows(a)), 0, 2, 1);
    return attention.joined(perHead(byHead, values), a.heads(), a.valueSize());
  }

  /** The form with keys and values of every head: larger in the cache, for any operator. */
  Onnx.Value expanded(
      int layer, Attention.MultiHeadLatent a, Onnx.Value q, Onnx.Value kv, Onnx.Value r) {
    int heads = a.heads();
    List<String> expanded = attention.parts(AttentionBuilder.heads(kv, rows(a)), a.plainSize());
    String shared = graph.reshape(r.name(), -1, 1, r.width());
    String turned = graph.node("Expand", List.of(shared, graph.longs(1, heads, 1)));
    return attention.attend(
        layer,
        a,
        AttentionBuilder.heads(q, a.headSize()),
        new Heads(graph.concat(expanded.get(0), turned, 2), heads, a.headSize()),
        new Heads(expanded.get(1), heads, a.valueSize()),
        null,
        a.valueSize());
  }

  private static int rows(Attention.MultiHeadLatent a) {
    return a.plainSize() + a.valueSize();
  }

  /** Some of each head's rows, [heads, to − from, latentSize]. */
  private String ofUp(Attention.MultiHeadLatent a, String up, int from, int to) {
    return graph.slice(graph.reshape(up, a.heads(), rows(a), a.latentSize()), 1, from, to);
  }

  /** x [S, heads, in] times a matrix per head, [heads, in, out], to [S, heads, out]. */
  private String perHead(String x, String matrices) {
    String product = graph.node("MatMul", List.of(graph.transpose(x, 1, 0, 2), matrices));
    return graph.transpose(product, 1, 0, 2);
  }
}

package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Rotary;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Heads, how positions turn them, and the operator in which they meet and that keeps the cache. */
final class AttentionBuilder {
  private final Graph graph;
  private final Target target;
  private final Positions positions;

  AttentionBuilder(Graph graph, Target target, Positions positions) {
    this.graph = graph;
    this.target = target;
    this.positions = positions;
  }

  /** Heads of one token side by side: [.., S, count · width], or [S, count, width]. */
  record Heads(String value, int count, int width) {}

  /** Heads of a value that has nothing else. */
  static Heads heads(Onnx.Value x, int width) {
    return new Heads(x.name(), x.width() / width, width);
  }

  /** To [S, count, width]. */
  String split(Heads x) {
    return graph.reshape(x.value(), -1, x.count(), x.width());
  }

  /** To [S, count · width]. */
  Onnx.Value joined(String x, int count, int width) {
    int columns = count * width;
    return Onnx.Value.of(graph.reshape(x, -1, columns), columns);
  }

  /** The first and the other dimensions of every head, [S, count, ..] each. */
  List<String> parts(Heads x, int first) {
    return graph.split(split(x), 2, first, x.width() - first);
  }

  /**
   * Turns heads.
   *
   * @param first dimension that is turned
   */
  Onnx.Value rotate(Heads x, Rotary rotary, int first) {
    if (first == 0) {
      return turned(x, rotary);
    }
    List<String> parts = parts(x, first);
    int width = x.width() - first;
    Onnx.Value turned = turned(new Heads(parts.get(1), x.count(), width), rotary);
    String both = graph.concat(parts.get(0), split(heads(turned, width)), 2);
    return joined(both, x.count(), x.width());
  }

  private Onnx.Value turned(Heads x, Rotary rotary) {
    String batch = graph.reshape(x.value(), 1, -1, (long) x.count() * x.width());
    // The operator means the whole head by 0.
    long dimensions = rotary.dimensions() == x.width() ? 0 : rotary.dimensions();
    Positions.Angles angles = positions.angles(rotary);
    String turned =
        graph.node(
            "RotaryEmbedding",
            List.of(batch, angles.cos(), angles.sin()),
            attribute("num_heads", x.count()),
            attribute("rotary_embedding_dim", dimensions),
            attribute("interleaved", rotary.pairing() == Rotary.Pairing.INTERLEAVED ? 1 : 0));
    return joined(turned, x.count(), x.width());
  }

  /**
   * Causal attention with one operator, which appends keys and values to the cache.
   *
   * @param sinks a score per head that takes part in the softmax, [heads]; null where there are
   *     none
   * @param width of the result's heads, which are the first numbers of the values'
   * @throws UnsupportedException if the target's operator has no mask for chunks
   */
  Onnx.Value attend(
      int layer,
      Attention.Softmax attention,
      Heads query,
      Heads key,
      Heads value,
      @Nullable String sinks,
      int width) {
    Integer window = attention instanceof Attention.GroupedQuery a ? a.window() : null;
    Integer chunk = attention instanceof Attention.GroupedQuery a ? a.chunk() : null;
    if (chunk != null && !target.masks()) {
      throw new UnsupportedException(
          "layer " + layer + " in " + target.compute(),
          "attention to all that came before or to a window, which the operator computes",
          "attention within chunks of " + chunk,
          "use --device cpu");
    }
    CacheLayout layout = CacheLayout.of(attention, target);
    Object[] shape = {1, layout.heads(), "C", layout.headSize()};
    List<String> inputs =
        new ArrayList<>(
            List.of(
                widened(query, layout.headSize()),
                widened(key, layout.headSize()),
                widened(value, layout.headSize()),
                graph.input(Lowering.pastKey(layer), target.compute(), shape),
                graph.input(Lowering.pastValue(layer), target.compute(), shape),
                positions.last(),
                positions.total()));
    if (chunk != null || sinks != null) {
      // Angles and positions, which the operator does not apply here.
      inputs.addAll(List.of("", "", ""));
      inputs.add(chunk == null ? "" : positions.chunkMask(chunk));
      inputs.add(sinks == null ? "" : sinks);
    }
    String output = "attention_" + layer;
    graph.output(Lowering.presentKey(layer), target.compute(), shape);
    graph.output(Lowering.presentValue(layer), target.compute(), shape);
    List<OnnxMl.AttributeProto> attributes =
        new ArrayList<>(
            List.of(
                attribute("num_heads", query.count()),
                attribute("kv_num_heads", layout.heads()),
                attribute("scale", (float) attention.softmaxScale()),
                attribute("local_window_size", window == null ? -1L : window)));
    if (attention instanceof Attention.GroupedQuery a && a.scoreCap() != null) {
      attributes.add(attribute("softcap", a.scoreCap().floatValue()));
    }
    graph.contrib(
        "GroupQueryAttention",
        inputs,
        List.of(output, Lowering.presentKey(layer), Lowering.presentValue(layer)),
        attributes.toArray(OnnxMl.AttributeProto[]::new));
    return firstOf(new Heads(output, query.count(), layout.headSize()), width);
  }

  /** Widens heads with zeros, which change neither scores nor outputs, to [1, S, count · width]. */
  private String widened(Heads x, int width) {
    String wide = x.value();
    if (width != x.width()) {
      long more = (long) width - x.width();
      wide = graph.node("Pad", List.of(split(x), graph.longs(0, 0, 0, 0, 0, more)));
    }
    return graph.reshape(wide, 1, -1, (long) x.count() * width);
  }

  private Onnx.Value firstOf(Heads x, int width) {
    String cut = width == x.width() ? x.value() : graph.slice(split(x), 2, 0, width);
    return joined(cut, x.count(), width);
  }
}

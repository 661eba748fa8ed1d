package dev.moxie.runtime.lowering;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.safetensors.Dtype;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Where the new tokens of a graph stand, and what depends on that alone. */
final class Positions {
  private final Graph graph;
  private final Dtype compute;
  private final List<Rotary> rotaries;
  private final Map<Rotary, Angles> angles = new HashMap<>();
  private final Map<Integer, String> chunks = new HashMap<>();

  /** Cosines and sines of the new tokens' angles, [1, S, pairs]. */
  record Angles(String cos, String sin) {}

  /**
   * Those of a graph, which declares as an input what it needs of them.
   *
   * @param rotaries every way in which layers turn queries and keys
   */
  Positions(Graph graph, Dtype compute, List<Rotary> rotaries) {
    this.graph = graph;
    this.compute = compute;
    this.rotaries = rotaries;
  }

  /** The new tokens, int64 [S]. */
  String ids() {
    return graph.input("ids", Dtype.I64, "S");
  }

  /** Indices of new tokens, int64 [R]. */
  String rows() {
    return graph.input("rows", Dtype.I64, "R");
  }

  Angles angles(Rotary rotary) {
    return angles.computeIfAbsent(
        rotary,
        r -> {
          int index = rotaries.indexOf(r);
          int pairs = r.dimensions() / 2;
          return new Angles(input(Lowering.cos(index), pairs), input(Lowering.sin(index), pairs));
        });
  }

  private String input(String name, int pairs) {
    return graph.cast(graph.input(name, Dtype.F32, 1, "S", pairs), Dtype.F32, compute);
  }

  /** Index of the last new token, int32 [1]. */
  String last() {
    return graph.input("last_position", Dtype.I32, 1);
  }

  /** Tokens so far, int32 []. */
  String total() {
    return graph.input("total_length", Dtype.I32);
  }

  /** 0 where a token sees another of its chunk, −∞ where it does not, [1, 1, S, total]. */
  String chunkMask(int chunk) {
    return chunks.computeIfAbsent(
        chunk,
        c -> {
          String length = graph.whole(c);
          String ofNew = graph.reshape(graph.node("Div", List.of(ofNewTokens(), length)), -1, 1);
          String all = range(graph.whole(0));
          String same =
              graph.node("Equal", List.of(ofNew, graph.node("Div", List.of(all, length))));
          String mask =
              graph.node(
                  "Where", List.of(same, graph.number(0), graph.number(Float.NEGATIVE_INFINITY)));
          return graph.cast(
              graph.node("Unsqueeze", List.of(mask, graph.longs(0, 1))), Dtype.F32, compute);
        });
  }

  /** What queries are multiplied by, [S, 1]. */
  String temperature(Attention.Temperature temperature) {
    String count =
        temperature.fromZero()
            ? ofNewTokens()
            : graph.node("Add", List.of(ofNewTokens(), graph.whole(1)));
    String numbers = graph.cast(count, Dtype.I64, Dtype.F32);
    String ratio = graph.node("Div", List.of(numbers, graph.number((float) temperature.floor())));
    String floors = graph.node("Floor", List.of(ratio));
    String log = graph.node("Log", List.of(graph.node("Add", List.of(floors, graph.number(1)))));
    String growth = graph.node("Mul", List.of(log, graph.number((float) temperature.scale())));
    String factors = graph.node("Add", List.of(growth, graph.number(1)));
    return graph.cast(graph.reshape(factors, -1, 1), Dtype.F32, compute);
  }

  /** int64 [S]. */
  private String ofNewTokens() {
    String count = graph.node("Squeeze", List.of(graph.node("Shape", List.of(ids()))));
    return range(graph.node("Sub", List.of(length(), count)));
  }

  /** Positions from one on, int64. */
  private String range(String first) {
    return graph.node("Range", List.of(first, length(), graph.whole(1)));
  }

  private String length() {
    return graph.cast(total(), Dtype.I32, Dtype.I64);
  }
}

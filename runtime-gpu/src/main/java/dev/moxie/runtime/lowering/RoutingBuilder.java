package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import dev.moxie.format.model.Routing;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The terms of routing equations as nodes of a graph, in float32. The k best are found with TopK,
 * which of equal values takes the lower index first.
 */
final class RoutingBuilder {
  private final Graph graph;

  RoutingBuilder(Graph graph) {
    this.graph = graph;
  }

  /** Scores of all experts, [S, E]. */
  String score(Routing.Score score, String logits) {
    return switch (score) {
      case SOFTMAX -> graph.node("Softmax", List.of(logits), attribute("axis", -1));
      case SIGMOID -> graph.node("Sigmoid", List.of(logits));
      case IDENTITY, ONE -> graph.node("Identity", List.of(logits));
      case SQRT_SOFTPLUS -> graph.node("Sqrt", List.of(graph.node("Softplus", List.of(logits))));
    };
  }

  /**
   * Choice values with a limit to some groups.
   *
   * @param choice [S, E], those outside the kept groups masked
   * @param groups what groups were kept by, [S, count]
   */
  record Limited(String choice, String groups) {}

  /** Choice values [S, E] with those outside the kept groups masked. */
  Limited limit(int experts, Routing.Groups groups, String choice) {
    long size = experts / groups.count();
    String grouped = graph.reshape(choice, -1, groups.count(), size);
    String aggregate =
        switch (groups.aggregate()) {
          case MAXIMUM ->
              graph.node("ReduceMax", List.of(grouped, graph.longs(2)), attribute("keepdims", 0));
          case SUM_OF_TOP_TWO ->
              graph.node(
                  "ReduceSum",
                  List.of(best(grouped, 2).getFirst(), graph.longs(2)),
                  attribute("keepdims", 0));
        };
    String kept = top(aggregate, groups.kept());
    String marks =
        graph.node(
            "ScatterElements",
            List.of(filled(aggregate, 0), kept, filled(kept, 1)),
            attribute("axis", 1));
    String isKept =
        graph.node(
            "Unsqueeze",
            List.of(graph.node("Greater", List.of(marks, graph.number(0))), graph.longs(2)));
    float mask =
        switch (groups.maskValue()) {
          case ZERO -> 0;
          case NEGATIVE_INFINITY -> Float.NEGATIVE_INFINITY;
        };
    String masked = graph.node("Where", List.of(isKept, grouped, graph.number(mask)));
    return new Limited(graph.reshape(masked, -1, experts), aggregate);
  }

  /** The experts of largest choice value, int64 [S, k]. */
  String top(String choice, int count) {
    return best(choice, count).getLast();
  }

  /** The k largest, and their indices. */
  private List<String> best(String x, int k) {
    return graph.nodes("TopK", List.of(x, graph.longs(k)), 2);
  }

  /** The weights of the chosen, [S, k]. */
  String weigh(
      String values, String chosen, Routing.@Nullable Normalisation normalisation, double scale) {
    String weights = gathered(values, chosen);
    if (normalisation != null) {
      String sum = total(weights);
      if (normalisation.least() != null) {
        float least = normalisation.least().floatValue();
        sum = graph.node("Max", List.of(sum, graph.number(least)));
      }
      sum = graph.node("Add", List.of(sum, graph.number((float) normalisation.epsilon())));
      weights = graph.node("Div", List.of(weights, sum));
    }
    return graph.node("Mul", List.of(weights, graph.number((float) scale)));
  }

  /**
   * The weights of the chosen, [S, k], each among those near it.
   *
   * @param count k
   */
  String compete(String values, String chosen, int count, Routing.Mixer mixer, double scale) {
    List<String> ids = new ArrayList<>();
    List<String> own = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      ids.add(graph.slice(chosen, 1, i, i + 1));
      own.add(gathered(values, ids.get(i)));
    }
    String least = graph.number(Float.NEGATIVE_INFINITY);
    List<String> weights = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      String left = values;
      for (int j = 0; j < count; j++) {
        String comparison = j < i ? "GreaterOrEqual" : "Greater";
        String before = graph.node(comparison, List.of(own.get(j), own.get(i)));
        String instead = graph.node("Where", List.of(before, least, own.get(j)));
        left =
            i == j
                ? left
                : graph.node(
                    "ScatterElements", List.of(left, ids.get(j), instead), attribute("axis", 1));
      }
      String size = graph.node("Max", List.of(graph.node("Abs", List.of(values)), own.get(i)));
      String gap = graph.node("Div", List.of(graph.node("Sub", List.of(own.get(i), values)), size));
      String far = graph.node("Greater", List.of(gap, graph.number((float) mixer.tolerance())));
      String rivals = graph.node("Where", List.of(far, least, left));
      weights.add(
          gathered(graph.node("Softmax", List.of(rivals), attribute("axis", -1)), ids.get(i)));
    }
    String all = weights.getFirst();
    for (String next : weights.subList(1, count)) {
      all = graph.concat(all, next, 1);
    }
    return graph.node("Mul", List.of(all, graph.number((float) scale)));
  }

  private String gathered(String values, String ids) {
    return graph.node("GatherElements", List.of(values, ids), attribute("axis", 1));
  }

  /**
   * What the MoE operator wants instead of weights, which it has no input for: it takes the softmax
   * of its logits and renormalises over the k largest, so logits log(w) on the chosen experts and
   * −∞ elsewhere give w / Σ w, and its output is to be multiplied by {@link #total}.
   *
   * @param scores of all experts, for their shape
   * @param weights of the chosen, none of them negative
   */
  String disguised(String scores, String chosen, String weights) {
    return graph.node(
        "ScatterElements",
        List.of(
            filled(scores, Float.NEGATIVE_INFINITY), chosen, graph.node("Log", List.of(weights))),
        attribute("axis", 1));
  }

  /** Σ w of every token, [S, 1]. */
  String total(String weights) {
    return graph.node("ReduceSum", List.of(weights, graph.longs(1)), attribute("keepdims", 1));
  }

  /** A float32 tensor of the shape of another, all of one value. */
  private String filled(String like, float value) {
    return graph.filled(graph.node("Shape", List.of(like)), value);
  }
}

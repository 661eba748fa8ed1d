package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * A routing equation as nodes of a graph, in float32. The k best are found with TopK, which of
 * equal values takes the lower index first.
 */
final class RoutingBuilder {
  private final Graph graph;

  RoutingBuilder(Graph graph) {
    this.graph = graph;
  }

  /**
   * What the MoE operator wants instead of weights, which it has no input for: it takes the softmax
   * of its logits and renormalises over the k largest, so logits log(w) on the chosen experts and
   * −∞ elsewhere give w / Σ w.
   *
   * @param logits [S, E], −∞ but for k of them
   * @param total Σ w, [S, 1], by which the operator's output is multiplied
   */
  record Disguised(String logits, String total) {}

  /**
   * Routes S tokens.
   *
   * @param where the layer, for messages
   * @param logits router logits [S, E], float32
   * @param bias [E], float32; unused without a bias
   * @throws UnsupportedException if weights may be negative, which have no logarithm
   */
  Disguised route(String where, FeedForward.MixtureOfExperts moe, String logits, String bias) {
    Routing routing = moe.routing();
    if (routing.bias() == Routing.Bias.SELECTION_AND_WEIGHTS) {
      throw new UnsupportedException(
          where,
          "weights without a bias, which are never negative",
          "a bias that touches the weights",
          "run it with --execution plain");
    }
    String scores =
        switch (routing.score()) {
          case SOFTMAX -> graph.node("Softmax", List.of(logits), attribute("axis", -1));
          case SIGMOID -> graph.node("Sigmoid", List.of(logits));
        };
    String choice = routing.hasBiasOfScores() ? graph.node("Add", List.of(scores, bias)) : scores;
    Routing.Groups groups = routing.groups();
    if (groups != null) {
      choice = masked(moe.experts(), groups, choice);
    }
    String chosen = topK(choice, routing.expertsPerToken()).indices();
    String weights = graph.node("GatherElements", List.of(scores, chosen), attribute("axis", 1));
    Routing.Normalisation normalisation = routing.normalisation();
    if (normalisation != null) {
      String sum =
          graph.node("Add", List.of(sum(weights), graph.number((float) normalisation.epsilon())));
      weights = graph.node("Div", List.of(weights, sum));
    }
    weights = graph.node("Mul", List.of(weights, graph.number((float) routing.scale())));
    String nowhere = filled(scores, Float.NEGATIVE_INFINITY);
    String disguised =
        graph.node(
            "ScatterElements",
            List.of(nowhere, chosen, graph.node("Log", List.of(weights))),
            attribute("axis", 1));
    return new Disguised(disguised, sum(weights));
  }

  /** Choice values [S, E] with those outside the kept groups masked. */
  private String masked(int experts, Routing.Groups groups, String choice) {
    long size = experts / groups.count();
    String grouped = graph.node("Reshape", List.of(choice, graph.longs(-1, groups.count(), size)));
    String aggregate =
        switch (groups.aggregate()) {
          case MAXIMUM ->
              graph.node("ReduceMax", List.of(grouped, graph.longs(2)), attribute("keepdims", 0));
          case SUM_OF_TOP_TWO ->
              graph.node(
                  "ReduceSum",
                  List.of(topK(grouped, 2).values(), graph.longs(2)),
                  attribute("keepdims", 0));
        };
    String kept = topK(aggregate, groups.kept()).indices();
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
    return graph.node("Reshape", List.of(masked, graph.longs(-1, experts)));
  }

  private record TopK(String values, String indices) {}

  private TopK topK(String x, int k) {
    List<String> outputs = graph.nodes("TopK", List.of(x, graph.longs(k)), 2);
    return new TopK(outputs.get(0), outputs.get(1));
  }

  private String sum(String weights) {
    return graph.node("ReduceSum", List.of(weights, graph.longs(1)), attribute("keepdims", 1));
  }

  /** A float32 tensor of the shape of another, all of one value. */
  private String filled(String like, float value) {
    return graph.node(
        "ConstantOfShape",
        List.of(graph.node("Shape", List.of(like))),
        attribute("value", Graph.tensor(value)));
  }
}

package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Step;
import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads a forward pass as the nodes of a graph. Attention and routed experts are one operator of
 * ONNX Runtime each.
 */
final class Onnx extends WithoutStates<Onnx.Value> {
  private final Graph graph;
  private final Target target;
  private final Weights weights;
  private final Positions positions;
  private final AttentionBuilder attention;
  private final LatentBuilder latents;
  private final RoutingBuilder routing;
  private final ExpertsBuilder experts;
  private final Notes notes;

  /**
   * A value of the graph, [S, width], in the target's compute dtype; scores and weights of experts
   * in float32, their indices in int64.
   *
   * @param scores the scores that weights of experts are some of; null of anything else, and of
   *     weights that may be negative
   */
  record Value(String name, int width, @Nullable String scores) {
    static Value of(String name, int width) {
      return new Value(name, width, null);
    }
  }

  /**
   * A reader.
   *
   * @param graph to which inputs and nodes are added
   * @param rotaries every way in which layers turn queries and keys
   * @param notes is told of the values that have a name
   */
  Onnx(Graph graph, Target target, Weights weights, List<Rotary> rotaries, Notes notes) {
    this.graph = graph;
    this.target = target;
    this.weights = weights;
    positions = new Positions(graph, target.compute(), rotaries);
    attention = new AttentionBuilder(graph, target, positions);
    latents = new LatentBuilder(graph, attention);
    routing = new RoutingBuilder(graph);
    experts = new ExpertsBuilder(graph, target.compute(), weights, routing);
    this.notes = notes;
  }

  private Value like(Value x, String name) {
    return Value.of(name, x.width());
  }

  private String number(double value) {
    return graph.cast(graph.number((float) value), Dtype.F32, target.compute());
  }

  @Override
  public Value embed(Leaf table) {
    return Value.of(
        weights.gathered(table, positions.ids()), Math.toIntExact(table.shape().dim(1)));
  }

  /** Of the new tokens, those whose logits are wanted. */
  Value wanted(Value x) {
    return like(x, graph.node("Gather", List.of(x.name(), positions.rows())));
  }

  @Override
  public Value linear(Value x, Leaf matrix) {
    String y =
        graph.node("Gemm", List.of(x.name(), weights.matrix(matrix)), attribute("transB", 1));
    return Value.of(y, Math.toIntExact(matrix.shape().dim(0)));
  }

  @Override
  public Value shift(Value x, Leaf vector) {
    return like(x, graph.node("Add", List.of(x.name(), weights.of(vector))));
  }

  @Override
  public Value scale(Value x, double factor) {
    return like(x, graph.node("Mul", List.of(x.name(), number(factor))));
  }

  @Override
  public Value norm(Value x, Leaf weight, double epsilon) {
    return norms(x, weight, epsilon, x.width());
  }

  @Override
  public Value norms(Value x, @Nullable Leaf weight, double epsilon, int size) {
    return norms(x, weight == null ? unitWeights(size) : weights.of(weight), epsilon, size);
  }

  @Override
  public Value offsetNorms(Value x, Leaf weight, double epsilon, int size) {
    String scale = graph.node("Add", List.of(weights.of(weight), unitWeights(size)));
    return norms(x, scale, epsilon, size);
  }

  private String unitWeights(int size) {
    return graph.cast(graph.filled(graph.longs(size), 1), Dtype.F32, target.compute());
  }

  private Value norms(Value x, String scale, double epsilon, int size) {
    if (size == x.width()) {
      return like(x, normed("RMSNormalization", x.name(), scale, epsilon));
    }
    String heads = attention.split(AttentionBuilder.heads(x, size));
    String y = normed("RMSNormalization", heads, scale, epsilon);
    return attention.joined(y, x.width() / size, size);
  }

  @Override
  public Value centredNorm(Value x, Leaf weight, double epsilon) {
    return like(x, normed("LayerNormalization", x.name(), weights.of(weight), epsilon));
  }

  private String normed(String op, String x, String scale, double epsilon) {
    return graph.node(
        op, List.of(x, scale), attribute("epsilon", (float) epsilon), attribute("axis", -1));
  }

  @Override
  public Value cap(Value x, double limit) {
    String part = graph.node("Div", List.of(x.name(), number(limit)));
    return scale(like(x, graph.node("Tanh", List.of(part))), limit);
  }

  @Override
  public Value clip(Value x, double limit) {
    return like(x, graph.node("Clip", List.of(x.name(), number(-limit), number(limit))));
  }

  @Override
  public Value temper(Value x, Attention.Temperature temperature) {
    return like(x, graph.node("Mul", List.of(x.name(), positions.temperature(temperature))));
  }

  @Override
  public Value add(Value a, Value b) {
    return like(a, graph.node("Add", List.of(a.name(), b.name())));
  }

  @Override
  public Value multiply(Value a, Value b) {
    return like(a, graph.node("Mul", List.of(a.name(), b.name())));
  }

  @Override
  public Value gate(
      FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, Value gate, Value up) {
    return switch (f) {
      case SILU -> {
        String g = gate.name();
        String u = up.name();
        String steep = g;
        if (clamp != null) {
          g = graph.node("Min", List.of(g, number(clamp.limit())));
          steep = scale(like(gate, g), clamp.sharpness()).name();
          u = graph.node("Add", List.of(clip(up, clamp.limit()).name(), number(clamp.offset())));
        }
        String activated = graph.node("Mul", List.of(g, graph.node("Sigmoid", List.of(steep))));
        yield like(gate, graph.node("Mul", List.of(activated, u)));
      }
      case GELU_TANH, RELU, RELU_SQUARED -> throw lacks(f.name() + " of a gate");
    };
  }

  @Override
  public Value activate(FeedForward.Activation f, Value x) {
    return switch (f) {
      case SILU -> switched(Attention.Opening.SIGMOID, x, x);
      case GELU_TANH, RELU, RELU_SQUARED -> throw lacks(f.name());
    };
  }

  @Override
  public Value switched(Attention.Opening opening, Value x, Value by) {
    String f =
        graph.node(
            switch (opening) {
              case SIGMOID -> "Sigmoid";
              case SOFTPLUS -> "Softplus";
            },
            List.of(by.name()));
    if (by.width() == 1 || by.width() == x.width()) {
      return like(x, graph.node("Mul", List.of(x.name(), f)));
    }
    int size = x.width() / by.width();
    String heads = attention.split(AttentionBuilder.heads(x, size));
    String each = attention.split(new AttentionBuilder.Heads(f, by.width(), 1));
    return attention.joined(graph.node("Mul", List.of(heads, each)), by.width(), size);
  }

  @Override
  public Value columns(Value x, int first, int count) {
    return Value.of(graph.slice(x.name(), 1, first, first + count), count);
  }

  @Override
  public Value ofHeads(Value x, int headSize, int first, int count) {
    String heads = attention.split(AttentionBuilder.heads(x, headSize));
    String cut = graph.slice(heads, 2, first, first + count);
    return attention.joined(cut, x.width() / headSize, count);
  }

  @Override
  public Value join(Value a, Value b) {
    return Value.of(graph.concat(a.name(), b.name(), 1), a.width() + b.width());
  }

  @Override
  public Value rotate(Value x, Rotary rotary, int headSize, int first) {
    return attention.rotate(AttentionBuilder.heads(x, headSize), rotary, first);
  }

  @Override
  public Value attend(
      int layer,
      Attention.GroupedQuery a,
      Value q,
      Value k,
      Value v,
      @Nullable Value seen,
      @Nullable Leaf sinks,
      @Nullable Leaf distances) {
    requireOneWay(a);
    int width = a.headSize();
    return attention.attend(
        layer,
        a,
        AttentionBuilder.heads(q, width),
        AttentionBuilder.heads(k, width),
        AttentionBuilder.heads(v, a.valuesOfHead()),
        sinks == null ? null : weights.of(sinks),
        a.valuesOfHead());
  }

  @Override
  public Value latent(
      int layer,
      Attention.MultiHeadLatent a,
      Value q,
      Value c,
      Value r,
      @Nullable Value seen,
      Leaf up) {
    return CacheLayout.of(a, target).latent()
        ? latents.absorbed(layer, a, q, c, r, weights.of(up))
        : latents.expanded(layer, a, q, linear(c, up), r);
  }

  @Override
  protected UnsupportedException lacks(String what) {
    return new UnsupportedException(
        "--execution fused",
        "parts for which the graph has operators",
        what,
        "use --device cpu --execution plain");
  }

  @Override
  public Value score(Routing.Score score, Value logits, int sets) {
    requireOneSet(sets);
    String scores = routing.score(score, graph.cast(logits.name(), target.compute(), Dtype.F32));
    return notes.of(Lowering.SCORES, new Value(scores, logits.width(), scores));
  }

  @Override
  public Value favour(Value scores, Leaf bias) {
    String biased = graph.node("Add", List.of(scores.name(), weights.inF32(bias)));
    return notes.of(Lowering.CHOICE, like(scores, biased));
  }

  @Override
  public Value limit(Value choice, Routing.Groups groups) {
    RoutingBuilder.Limited limited = routing.limit(choice.width(), groups, choice.name());
    notes.of(Lowering.GROUPS, Value.of(limited.groups(), groups.count()));
    return like(choice, limited.choice());
  }

  @Override
  public Value top(Value choice, int count, int sets) {
    return Value.of(routing.top(choice.name(), count), count);
  }

  @Override
  public Value weigh(
      Value values,
      Value chosen,
      @Nullable Value dropped,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    String weighed = routing.weigh(values.name(), chosen.name(), normalisation, scale);
    return new Value(weighed, chosen.width(), values.scores());
  }

  @Override
  public Value compete(Value values, Value chosen, Routing.Mixer mixer, double scale) {
    String weighed = routing.compete(values.name(), chosen.name(), chosen.width(), mixer, scale);
    return new Value(weighed, chosen.width(), values.scores());
  }

  @Override
  public Value experts(Experts all, Value x, Value chosen, Value weighed) {
    requireWeights(all);
    if (all.network(0).gate() == null) {
      throw lacks("experts without a gate");
    }
    if (all.activation() != FeedForward.Activation.SILU) {
      throw lacks(all.activation().name() + " of experts");
    }
    boolean after = all.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_OUTPUT;
    return like(
        x,
        after && weighed.scores() != null
            ? experts.together(all, x.name(), weighed.scores(), chosen, weighed.name())
            : experts.apart(all, x.name(), chosen, weighed.name()));
  }

  @Override
  public Value note(Step step, Value x) {
    return notes.of(step.id(), x);
  }
}

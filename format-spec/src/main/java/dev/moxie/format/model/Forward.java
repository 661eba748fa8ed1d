package dev.moxie.format.model;

import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.format.safetensors.Shape;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass of every architecture, once. Whoever needs something of it (tensors, equations,
 * numbers, a graph) reads it through {@link Ops}; the Javadoc of each part says where its equation
 * was published.
 *
 * @param <V> what the reader makes of one activation, [T, width]
 */
public final class Forward<V> {
  private final Architecture model;
  private final Ops<V> ops;

  /** The forward pass of a model, as one reader reads it. */
  public Forward(Architecture model, Ops<V> ops) {
    this.model = model;
    this.ops = ops;
  }

  /** Logits of the token after each token, [T, V]. */
  public V logits() {
    V h = embedding();
    List<Architecture.Blocks> layers = model.layers();
    for (int i = 0; i < layers.size(); i++) {
      h = layer(i, h);
    }
    return head(h);
  }

  /** What the first layer reads, [T, H]. */
  public V embedding() {
    return ops.embed(new Scope(null).matrix(Role.EMBEDDING, model.vocabSize(), model.hiddenSize()));
  }

  /** Logits from what the last layer leaves, [T, V]. */
  public V head(V h) {
    var scope = new Scope(null);
    V x = ops.norm(h, scope.vector(Role.FINAL_NORM, model.hiddenSize()), model.normEpsilon());
    Role table = model.tiedEmbeddings() ? Role.EMBEDDING : Role.HEAD;
    return ops.linear(x, scope.matrix(table, model.vocabSize(), model.hiddenSize()));
  }

  /**
   * Logits of one token further than the layer before ({@link Architecture.Prediction}), [T, V].
   *
   * @param index of the layer, from 0
   * @param h what the last decoder layer, or the prediction layer before, leaves
   */
  public V predicted(Architecture.Prediction prediction, int index, V h) {
    int layer = model.layers().size() + index;
    int hidden = model.hiddenSize();
    var scope = new Scope(layer);
    V next = ops.embed(scope.matrix(Role.PREDICTION_EMBEDDING, model.vocabSize(), hidden));
    V x =
        ops.linear(
            ops.join(
                norm(scope, Role.PREDICTION_EMBEDDING_NORM, next),
                norm(scope, Role.PREDICTION_HIDDEN_NORM, h)),
            scope.matrix(Role.PREDICTION_COMBINE, hidden, 2L * hidden));
    V y = layer(layer, prediction.attention(), prediction.feedForward(), x);
    return ops.linear(
        norm(scope, Role.PREDICTION_FINAL_NORM, y),
        scope.matrix(Role.PREDICTION_HEAD, model.vocabSize(), hidden));
  }

  /** What a decoder layer makes of the residual stream h, [T, H]. */
  public V layer(int layer, V h) {
    Architecture.Blocks block = model.layers().get(layer);
    return layer(layer, block.attention(), block.feedForward(), h);
  }

  V layer(int layer, Attention attention, FeedForward feedForward, V h) {
    V a = attended(layer, attention, ops.note(Step.INPUT, h));
    V x = normed(layer, a);
    V y =
        switch (feedForward) {
          case FeedForward.Dense d -> dense(layer, d, x);
          case FeedForward.MixtureOfExperts m -> mixture(layer, m, x);
        };
    return ops.note(Step.OUTPUT, ops.add(a, y));
  }

  /** The residual stream between the halves of a layer: h and the attention to it, [T, H]. */
  public V attended(int layer, Attention attention, V h) {
    var scope = new Scope(layer);
    V x = norm(scope, Role.ATTENTION_NORM, h);
    return ops.add(
        h,
        switch (attention) {
          case Attention.GroupedQuery g -> attention(scope, layer, g, x);
          case Attention.MultiHeadLatent l -> attention(scope, layer, l, x);
        });
  }

  /** What the second half of a layer reads, [T, H]. */
  public V normed(int layer, V a) {
    return norm(new Scope(layer), Role.FEED_FORWARD_NORM, a);
  }

  private V attention(Scope scope, int layer, Attention.GroupedQuery a, V x) {
    int d = a.headSize();
    long queries = (long) a.heads() * d;
    long keys = (long) a.keyValueHeads() * d;
    V q = ops.linear(x, scope.matrix(Role.ATTENTION_QUERY, queries, model.hiddenSize()));
    q = ops.rotate(q, a.rotary(), d, 0);
    V k = ops.linear(x, scope.matrix(Role.ATTENTION_KEY, keys, model.hiddenSize()));
    k = ops.rotate(k, a.rotary(), d, 0);
    V v = ops.linear(x, scope.matrix(Role.ATTENTION_VALUE, keys, model.hiddenSize()));
    V o = ops.attend(layer, a, q, k, v);
    return ops.linear(o, scope.matrix(Role.ATTENTION_OUTPUT, model.hiddenSize(), queries));
  }

  private V attention(Scope scope, int layer, Attention.MultiHeadLatent a, V x) {
    int turned = a.rotary().dimensions();
    V q = ops.rotate(query(scope, a, x), a.rotary(), a.headSize(), a.plainSize());
    V down =
        ops.linear(
            x,
            scope.matrix(
                Role.ATTENTION_LATENT_DOWN, a.latentSize() + (long) turned, model.hiddenSize()));
    V c =
        ops.norm(
            ops.columns(down, 0, a.latentSize()),
            scope.vector(Role.ATTENTION_LATENT_NORM, a.latentSize()),
            a.latentNormEpsilon());
    V r = ops.rotate(ops.columns(down, a.latentSize(), turned), a.rotary(), turned, 0);
    long expanded = (long) a.heads() * (a.plainSize() + a.valueSize());
    V o =
        ops.latent(
            layer, a, q, c, r, scope.matrix(Role.ATTENTION_LATENT_UP, expanded, a.latentSize()));
    long values = (long) a.heads() * a.valueSize();
    return ops.linear(o, scope.matrix(Role.ATTENTION_OUTPUT, model.hiddenSize(), values));
  }

  private V query(Scope scope, Attention.MultiHeadLatent a, V x) {
    long queries = (long) a.heads() * a.headSize();
    Integer rank = a.queryRank();
    if (rank == null) {
      return ops.linear(x, scope.matrix(Role.ATTENTION_QUERY, queries, model.hiddenSize()));
    }
    V down = ops.linear(x, scope.matrix(Role.ATTENTION_QUERY_DOWN, rank, model.hiddenSize()));
    V normed = ops.norm(down, scope.vector(Role.ATTENTION_QUERY_NORM, rank), a.latentNormEpsilon());
    return ops.linear(normed, scope.matrix(Role.ATTENTION_QUERY_UP, queries, rank));
  }

  /** What routed and shared experts of a layer make of x, [T, H]. */
  public V mixture(int layer, FeedForward.MixtureOfExperts m, V x) {
    V noted = ops.note(Step.MOE_INPUT, x);
    V l = ops.note(Step.ROUTER_LOGITS, routerLogits(layer, m, noted));
    Routed<V> routed = route(layer, m, l);
    V y = ops.note(Step.EXPERTS_OUTPUT, experts(layer, m, noted, routed));
    V output = m.shared() == null ? y : ops.add(y, shared(layer, m, m.shared(), noted));
    return ops.note(Step.MOE_OUTPUT, output);
  }

  /** W x of the router, [T, E]. */
  public V routerLogits(int layer, FeedForward.MixtureOfExperts m, V x) {
    return ops.linear(x, new Scope(layer).matrix(Role.ROUTER, m.experts(), model.hiddenSize()));
  }

  /**
   * How tokens were routed.
   *
   * @param chosen experts, [T, k]
   * @param weights of those, [T, k]
   */
  public record Routed<V>(V chosen, V weights) {}

  /** The routing equation of a layer, from its logits l. */
  public Routed<V> route(int layer, FeedForward.MixtureOfExperts m, V l) {
    return route(ops, m.routing(), l, routerBias(layer, m));
  }

  /** The stored bias of a layer whose routing has one, [E]. */
  public static Leaf routerBias(int layer, FeedForward.MixtureOfExperts m) {
    return new Scope(layer).vector(Role.ROUTER_BIAS, m.experts());
  }

  /**
   * The routing equation alone.
   *
   * @param b the bias; not looked at where the equation has none
   */
  public static <V> Routed<V> route(Ops<V> ops, Routing routing, V l, Leaf b) {
    V s = ops.score(routing.score(), l);
    V c = routing.bias() == null ? s : ops.bias(s, b);
    V limited = routing.groups() == null ? c : ops.limit(c, routing.groups());
    V chosen = ops.note(Step.ROUTER_EXPERTS, ops.top(limited, routing.expertsPerToken()));
    V values = routing.bias() == Routing.Bias.SELECTION_AND_WEIGHTS ? c : s;
    V w = ops.weigh(values, chosen, routing.normalisation(), routing.scale());
    return new Routed<>(chosen, ops.note(Step.ROUTER_WEIGHTS, w));
  }

  /** Weighted sum over the chosen experts, [T, H]. */
  public V experts(int layer, FeedForward.MixtureOfExperts m, V x, Routed<V> routed) {
    return ops.experts(experts(layer, m), x, routed.chosen(), routed.weights());
  }

  /** One expert for every token, without weights, [T, H]. */
  public V expert(int layer, FeedForward.MixtureOfExperts m, int expert, V x) {
    return network(ops, x, experts(layer, m).network(expert));
  }

  /** The network of a layer without experts, [T, H]. */
  public V dense(int layer, FeedForward.Dense d, V x) {
    return network(
        new Scope(layer),
        Role.DENSE_GATE,
        Role.DENSE_UP,
        Role.DENSE_DOWN,
        d.intermediateSize(),
        d.activation(),
        x);
  }

  /** The shared experts of a layer, [T, H]. */
  public V shared(
      int layer, FeedForward.MixtureOfExperts m, FeedForward.SharedExperts shared, V x) {
    return network(
        new Scope(layer),
        Role.SHARED_GATE,
        Role.SHARED_UP,
        Role.SHARED_DOWN,
        shared.intermediateSize(),
        m.activation(),
        x);
  }

  private V network(
      Scope scope,
      Role gate,
      Role up,
      Role down,
      long width,
      FeedForward.Activation activation,
      V x) {
    long hidden = model.hiddenSize();
    return network(
        ops,
        x,
        new Ops.Network(
            scope.matrix(gate, width, hidden),
            scope.matrix(up, width, hidden),
            scope.matrix(down, hidden, width),
            activation));
  }

  /** One gated network, be it dense, shared or an expert: down(f(gate x) ∘ up x). */
  public static <V> V network(Ops<V> ops, V x, Ops.Network network) {
    V gate = ops.linear(x, network.gate());
    V up = ops.linear(x, network.up());
    return ops.linear(ops.gate(network.activation(), gate, up), network.down());
  }

  private Ops.Experts experts(int layer, FeedForward.MixtureOfExperts m) {
    var scope = new Scope(layer);
    long hidden = model.hiddenSize();
    long i = m.intermediateSize();
    List<Projection> gateUp = List.of(Projection.GATE, Projection.UP);
    List<Projection> down = List.of(Projection.DOWN);
    return new Ops.Experts(
        scope.stack(Role.EXPERT_GATE_UP, new TensorSpec.Stack(0, m.experts(), gateUp, i, hidden)),
        scope.stack(Role.EXPERT_DOWN, new TensorSpec.Stack(0, m.experts(), down, hidden, i)),
        m.activation());
  }

  private V norm(Scope scope, Role role, V x) {
    return ops.norm(x, scope.vector(role, model.hiddenSize()), model.normEpsilon());
  }

  /**
   * Names the tensors of one layer, or of the model.
   *
   * @param layer null outside the layers
   */
  record Scope(@Nullable Integer layer) {
    Leaf matrix(Role role, long rows, long columns) {
      return spec(role, Shape.of(rows, columns), null).whole();
    }

    Leaf vector(Role role, long size) {
      return spec(role, Shape.of(size), null).whole();
    }

    TensorSpec stack(Role role, TensorSpec.Stack stack) {
      return spec(role, stack.shape(), stack);
    }

    TensorSpec spec(Role role, Shape shape, TensorSpec.@Nullable Stack stack) {
      String prefix = layer == null ? "" : "layers." + layer + ".";
      return new TensorSpec(prefix + role.tensor(), role, layer, shape, stack);
    }
  }
}

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
    V h = ops.embed(new Scope(null).matrix(Role.EMBEDDING, model.vocabSize(), model.hiddenSize()));
    List<Architecture.Blocks> layers = model.layers();
    for (int i = 0; i < layers.size(); i++) {
      h = layer(i, layers.get(i).attention(), layers.get(i).feedForward(), h);
    }
    return head(h);
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

  /**
   * What a decoder layer makes of the residual stream.
   *
   * @param layer its number
   */
  public V layer(int layer, Attention attention, FeedForward feedForward, V h) {
    var scope = new Scope(layer);
    V x = norm(scope, Role.ATTENTION_NORM, h);
    V a =
        ops.add(
            h,
            switch (attention) {
              case Attention.GroupedQuery g -> attention(scope, layer, g, x);
              case Attention.MultiHeadLatent l -> attention(scope, layer, l, x);
            });
    V n = norm(scope, Role.FEED_FORWARD_NORM, a);
    return ops.add(
        a,
        switch (feedForward) {
          case FeedForward.Dense d -> network(ops, n, dense(scope, d));
          case FeedForward.MixtureOfExperts m -> mixture(layer, m, n);
        });
  }

  private V attention(Scope scope, int layer, Attention.GroupedQuery a, V x) {
    int d = a.headSize();
    long queries = (long) a.heads() * d;
    long keys = (long) a.keyValueHeads() * d;
    V q = ops.linear(x, scope.matrix(Role.ATTENTION_QUERY, queries, model.hiddenSize()));
    V k = ops.linear(x, scope.matrix(Role.ATTENTION_KEY, keys, model.hiddenSize()));
    V v = ops.linear(x, scope.matrix(Role.ATTENTION_VALUE, keys, model.hiddenSize()));
    V o = ops.attend(layer, a, ops.rotate(q, a.rotary(), d, 0), ops.rotate(k, a.rotary(), d, 0), v);
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

  /** What routed and shared experts of a layer make of x. */
  V mixture(int layer, FeedForward.MixtureOfExperts m, V x) {
    var scope = new Scope(layer);
    Routing routing = m.routing();
    V l = ops.linear(x, scope.matrix(Role.ROUTER, m.experts(), model.hiddenSize()));
    V s = ops.score(routing.score(), l);
    V c = routing.bias() == null ? s : ops.bias(s, scope.vector(Role.ROUTER_BIAS, m.experts()));
    V limited = routing.groups() == null ? c : ops.limit(c, routing.groups());
    V chosen = ops.top(limited, routing.expertsPerToken());
    V values = routing.bias() == Routing.Bias.SELECTION_AND_WEIGHTS ? c : s;
    V w = ops.weigh(values, chosen, routing.normalisation(), routing.scale());
    V y = ops.experts(experts(scope, m), x, chosen, w);
    return m.shared() == null
        ? y
        : ops.add(y, network(ops, x, shared(scope, m.shared(), m.activation())));
  }

  /** One gated network, be it dense, shared or an expert: down(f(gate x) ∘ up x). */
  public static <V> V network(Ops<V> ops, V x, Ops.Network network) {
    V gate = ops.linear(x, network.gate());
    V up = ops.linear(x, network.up());
    return ops.linear(ops.gate(network.activation(), gate, up), network.down());
  }

  private Ops.Network dense(Scope scope, FeedForward.Dense d) {
    long hidden = model.hiddenSize();
    return new Ops.Network(
        scope.matrix(Role.DENSE_GATE, d.intermediateSize(), hidden),
        scope.matrix(Role.DENSE_UP, d.intermediateSize(), hidden),
        scope.matrix(Role.DENSE_DOWN, hidden, d.intermediateSize()),
        d.activation());
  }

  private Ops.Network shared(
      Scope scope, FeedForward.SharedExperts s, FeedForward.Activation activation) {
    long hidden = model.hiddenSize();
    return new Ops.Network(
        scope.matrix(Role.SHARED_GATE, s.intermediateSize(), hidden),
        scope.matrix(Role.SHARED_UP, s.intermediateSize(), hidden),
        scope.matrix(Role.SHARED_DOWN, hidden, s.intermediateSize()),
        activation);
  }

  private Ops.Experts experts(Scope scope, FeedForward.MixtureOfExperts m) {
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

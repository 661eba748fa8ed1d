package dev.moxie.format.model;

import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.format.safetensors.Shape;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
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
    return head(hidden());
  }

  /** What the last layer leaves, [T, H]. */
  public V hidden() {
    int first = model.encoderLayers();
    V encoded = first == 0 ? null : encoded(through(0, first, embedding()));
    for (int i = first; encoded != null && i < model.layers().size(); i++) {
      remember(i, encoded);
    }
    return through(first, model.layers().size(), embedding());
  }

  private V through(int first, int end, V embedding) {
    V h = embedding;
    for (int i = first; i < end; i++) {
      h = layer(i, h);
    }
    return h;
  }

  /** What layers of the decoder read of the encoder, from what its last layer leaves, [S, H]. */
  public V encoded(V h) {
    return norm(new Scope(null), Role.ENCODER_NORM, h);
  }

  /**
   * Has a layer of the decoder read what is encoded, before its tokens do.
   *
   * @param encoded what {@link #encoded} gives
   */
  public void remember(int layer, V encoded) {
    var scope = new Scope(layer);
    Attention.Cross cross = Objects.requireNonNull(model.layers().get(layer).cross());
    V k = crossed(scope, cross, Role.CROSS_KEY, Role.CROSS_KEY_BIAS, encoded);
    V v = crossed(scope, cross, Role.CROSS_VALUE, Role.CROSS_VALUE_BIAS, encoded);
    ops.remember(layer, cross, k, v);
  }

  private V crossed(Scope scope, Attention.Cross cross, Role weight, Role bias, V x) {
    long width = (long) cross.heads() * cross.headSize();
    V y = ops.linear(x, scope.matrix(weight, width, model.hiddenSize()));
    return cross.biases() ? ops.shift(y, scope.vector(bias, width)) : y;
  }

  /** What the first layer reads, [T, H]. */
  public V embedding() {
    V h =
        model.image() == null
            ? ops.embed(
                new Scope(null).matrix(Role.EMBEDDING, model.vocabSize(), model.hiddenSize()))
            : seen(model.image());
    Architecture.Multipliers m = model.multipliers();
    V scaled = m == null ? h : scaled(h, m.embedding());
    scaled = model.positions() == null ? scaled : ops.place(scaled, model.positions());
    V all = scaled;
    for (int i = 1; model.streams() != null && i < model.streams().count(); i++) {
      all = ops.join(all, scaled);
    }
    return all;
  }

  /** What tokens of an image are, [T, H]. */
  private V seen(Architecture.Image image) {
    var scope = new Scope(null);
    int hidden = model.hiddenSize();
    V p = ops.linear(ops.patches(image), scope.matrix(Role.IMAGE_PATCH, hidden, image.patchSize()));
    return ops.situate(
        ops.shift(p, scope.vector(Role.IMAGE_PATCH_BIAS, hidden)),
        scope.vector(Role.IMAGE_CLASS, hidden),
        scope.matrix(Role.IMAGE_POSITION, model.maxPositions(), hidden));
  }

  /** Logits from what the last layer leaves, [T, V], or of an image, [1, V]. */
  public V head(V h) {
    var scope = new Scope(null);
    V logits = products(scope, headInput(h));
    if (model.headBias()) {
      logits = ops.shift(logits, scope.vector(Role.HEAD_BIAS, model.vocabSize()));
    }
    Architecture.Multipliers m = model.multipliers();
    V scaled = m == null ? logits : scaled(logits, m.logits());
    return model.logitCap() == null ? scaled : ops.cap(scaled, model.logitCap());
  }

  /** What the head's matrix makes. */
  private V products(Scope scope, V x) {
    int hidden = model.hiddenSize();
    Architecture.Image image = model.image();
    if (image != null && image.towers() != null) {
      Architecture.Towers towers = image.towers();
      int tasks = towers.tasks();
      long rows = (long) tasks * towers.size();
      V t = ops.grouped(x, scope.matrix(Role.TOWERS, rows, hidden / tasks), tasks);
      V inside = ops.shift(t, scope.vector(Role.TOWERS_BIAS, rows));
      return ops.grouped(
          ops.activate(FeedForward.Activation.RELU, inside),
          scope.matrix(Role.HEAD, model.vocabSize(), towers.size()),
          tasks);
    }
    if (image != null && image.representationSize() != null) {
      long width = image.representationSize();
      V r = ops.linear(x, scope.matrix(Role.REPRESENTATION, width, hidden));
      V inside = ops.cap(ops.shift(r, scope.vector(Role.REPRESENTATION_BIAS, width)), 1);
      return ops.linear(inside, scope.matrix(Role.HEAD, model.vocabSize(), width));
    }
    Role table = model.tiedEmbeddings() ? Role.EMBEDDING : Role.HEAD;
    return ops.linear(x, scope.matrix(table, model.vocabSize(), hidden));
  }

  /**
   * What the head, and the first layer of a prediction, read of the last layer's output, [T, H], or
   * of an image, [1, H].
   */
  public V headInput(V h) {
    var scope = new Scope(null);
    Architecture.Image image = model.image();
    if (image != null) {
      V first = ops.first(h);
      return image.towers() == null ? norm(scope, Role.FINAL_NORM, first) : first;
    }
    Architecture.Streams s = model.streams();
    if (s == null) {
      return norm(scope, Role.FINAL_NORM, h);
    }
    V m = ops.linear(unit(h), scope.matrix(Role.FINAL_STREAMS, s.count(), model.streamWidth()));
    Leaf factors = scope.vector(Role.FINAL_STREAMS_FACTORS, 1);
    V p = ops.connect(s, m, factors, scope.vector(Role.FINAL_STREAMS_SHIFT, s.count()));
    return norm(scope, Role.FINAL_NORM, ops.gather(s, p, h));
  }

  /**
   * What the head of a prediction layer, and the next such layer, read ({@link
   * Architecture.Prediction}), [T, H]. Tokens are those after the ones that h was made of.
   *
   * @param index of the layer, from 0
   * @param h what the head of the layer before reads
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
    return norm(scope, Role.PREDICTION_FINAL_NORM, y);
  }

  /**
   * Logits of one token further than the layer before, [T, V].
   *
   * @param x what {@link #predicted} gives
   */
  public V predictionHead(int index, V x) {
    var scope = new Scope(model.layers().size() + index);
    return ops.linear(x, scope.matrix(Role.PREDICTION_HEAD, model.vocabSize(), model.hiddenSize()));
  }

  /** What a decoder layer makes of the residual stream h, [T, H]. */
  public V layer(int layer, V h) {
    Architecture.Blocks block = model.layers().get(layer);
    return layer(layer, block.attention(), block.feedForward(), h);
  }

  V layer(int layer, Attention attention, FeedForward feedForward, V h) {
    var scope = new Scope(layer);
    V noted = ops.note(Step.INPUT, h);
    if (model.hasParallelHalves()) {
      V x = attentionInput(scope, null, noted);
      V sum = attended(scope, layer, attention, null, noted, x);
      return ops.note(Step.OUTPUT, fed(scope, layer, attention, feedForward, null, sum, x));
    }
    V a = met(layer, attended(layer, attention, noted));
    if (feedForward instanceof FeedForward.None) {
      return ops.note(Step.OUTPUT, factored(scope, a));
    }
    V weights = connected(scope, Half.FEED_FORWARD, a);
    V x = read(scope, feedForward, weights, a);
    V before = residual(a, x);
    return ops.note(Step.OUTPUT, fed(scope, layer, attention, feedForward, weights, before, x));
  }

  /** What the second half of a layer leaves of the stream between the halves, reading x. */
  private V fed(
      Scope scope,
      int layer,
      Attention attention,
      FeedForward feedForward,
      @Nullable V weights,
      V a,
      V x) {
    V y =
        switch (feedForward) {
          case FeedForward.Dense d -> dense(layer, d, x);
          case FeedForward.MixtureOfExperts m -> mixture(layer, m, x);
          case FeedForward.None _ -> throw new IllegalStateException("no second half");
        };
    return left(scope, weights, besides(scope, layer, attention, feedForward, a, x), y);
  }

  /**
   * What a layer leaves, [T, H].
   *
   * @param a what its second half is added to
   * @param y what that makes
   */
  public V added(int layer, V a, V y) {
    var scope = new Scope(layer);
    Architecture.Blocks block = model.layers().get(layer);
    FeedForward feedForward = block.feedForward();
    V weights = connected(scope, Half.FEED_FORWARD, a);
    V before =
        Architecture.rounds(feedForward) == 1
            ? a
            : besides(
                scope,
                layer,
                block.attention(),
                feedForward,
                a,
                read(scope, feedForward, weights, a));
    return left(scope, weights, before, y);
  }

  /**
   * The residual stream that experts add to: what stands beside them is done ({@link
   * FeedForward.Shortcut}).
   */
  private V besides(
      Scope scope, int layer, Attention attention, FeedForward feedForward, V a, V x) {
    if (!(feedForward instanceof FeedForward.MixtureOfExperts m) || m.shortcut() == null) {
      return a;
    }
    int width = m.shortcut().intermediateSize();
    var dense = new FeedForward.Dense(width, m.activation(), m.ungated(), false);
    V b = added(scope, Half.FEED_FORWARD, a, dense(scope, dense, x));
    var again = new Scope(layer, true);
    // Its keys are kept as those of a layer after all others.
    int kept = model.layers().size() + layer;
    V c = attended(again, kept, attention, null, b, attentionInput(again, null, b));
    V y = dense(again, dense, norm(again, Role.FEED_FORWARD_NORM, c));
    return added(again, Half.FEED_FORWARD, c, y);
  }

  private V left(Scope scope, @Nullable V weights, V a, V y) {
    return factored(scope, written(scope, Half.FEED_FORWARD, weights, a, y));
  }

  private V factored(Scope scope, V h) {
    return model.layerFactors() ? ops.times(h, scope.vector(Role.LAYER_FACTOR, 1)) : h;
  }

  /** Half of a layer: the norm of what it makes, and how residual streams meet it. */
  private enum Half {
    ATTENTION(
        Role.ATTENTION_OUTPUT_NORM,
        Role.ATTENTION_STREAMS,
        Role.ATTENTION_STREAMS_FACTORS,
        Role.ATTENTION_STREAMS_SHIFT),
    FEED_FORWARD(
        Role.FEED_FORWARD_OUTPUT_NORM,
        Role.FEED_FORWARD_STREAMS,
        Role.FEED_FORWARD_STREAMS_FACTORS,
        Role.FEED_FORWARD_STREAMS_SHIFT);

    private final Role outputNorm;
    private final Role streams;
    private final Role factors;
    private final Role shift;

    Half(Role outputNorm, Role streams, Role factors, Role shift) {
      this.outputNorm = outputNorm;
      this.streams = streams;
      this.factors = factors;
      this.shift = shift;
    }
  }

  /** How half a layer reads, writes and mixes residual streams; null where there is one. */
  private @Nullable V connected(Scope scope, Half half, V h) {
    Architecture.Streams s = model.streams();
    if (s == null) {
      return null;
    }
    V m = ops.linear(unit(h), scope.matrix(half.streams, s.weights(), model.streamWidth()));
    return ops.connect(s, m, scope.vector(half.factors, 3), scope.vector(half.shift, s.weights()));
  }

  /** All residual streams over their root mean square. */
  private V unit(V h) {
    return ops.norms(h, null, model.normEpsilon(), model.streamWidth());
  }

  /** The residual streams as half a layer reads them, or the one. */
  private V gathered(@Nullable V weights, V h) {
    Architecture.Streams s = model.streams();
    return s == null || weights == null ? h : ops.gather(s, weights, h);
  }

  /** What the second half of a layer reads. */
  private V read(Scope scope, FeedForward feedForward, @Nullable V weights, V a) {
    V x = gathered(weights, a);
    return model.readsResidual(feedForward) ? x : norm(scope, Role.FEED_FORWARD_NORM, x);
  }

  /** The residual streams, or the one, with what half a layer makes. */
  private V written(Scope scope, Half half, @Nullable V weights, V h, V y) {
    Architecture.Streams s = model.streams();
    return s == null || weights == null ? added(scope, half, h, y) : ops.spread(s, weights, h, y);
  }

  /** The residual stream and what half a layer makes. */
  private V added(Scope scope, Half half, V h, V y) {
    V normed = model.hasOutputNorms() ? norm(scope, half.outputNorm, y) : y;
    Architecture.Multipliers m = model.multipliers();
    V made = m == null ? normed : scaled(normed, m.residual());
    Architecture.ResidualScale scale = scale(scope, half);
    if (scale == null) {
      return ops.add(h, made);
    }
    V added = scaled(made, scale.added());
    return scale.kept() == 0 ? added : ops.add(scaled(h, scale.kept()), added);
  }

  /** How half a layer meets the residual stream; in layers for prediction it is added. */
  private Architecture.@Nullable ResidualScale scale(Scope scope, Half half) {
    int layer = Objects.requireNonNull(scope.layer());
    if (layer >= model.layers().size()) {
      return null;
    }
    Architecture.Blocks block = model.layers().get(layer);
    return half == Half.ATTENTION ? block.attentionResidual() : block.feedForwardResidual();
  }

  /** What half a layer is added to: the residual stream, or what the half reads of it. */
  private V residual(V h, V read) {
    return model.hasNormedResidual() ? read : h;
  }

  private V scaled(V x, double factor) {
    return factor == 1 ? x : ops.scale(x, factor);
  }

  /** The residual stream between the halves of a layer: h and the attention to it, [T, H]. */
  public V attended(int layer, Attention attention, V h) {
    if (attention instanceof Attention.None) {
      return h;
    }
    var scope = new Scope(layer);
    V weights = connected(scope, Half.ATTENTION, h);
    V x = attentionInput(scope, weights, h);
    return attended(scope, layer, attention, weights, residual(h, x), x);
  }

  /** What the first half of a layer reads. */
  private V attentionInput(Scope scope, @Nullable V weights, V h) {
    V read = gathered(weights, h);
    return model.hasInputNorms() ? norm(scope, Role.ATTENTION_NORM, read) : read;
  }

  private V attended(Scope scope, int layer, Attention attention, @Nullable V weights, V h, V x) {
    return written(
        scope,
        Half.ATTENTION,
        weights,
        h,
        switch (attention) {
          case Attention.GroupedQuery g -> attention(scope, layer, g, x);
          case Attention.MultiHeadLatent l -> attention(scope, layer, l, x);
          case Attention.GatedDelta d -> attention(scope, d, x);
          case Attention.ShortConvolution c -> attention(scope, c, x);
          case Attention.Mamba m -> attention(scope, m, x);
          case Attention.Mamba2 m -> attention(scope, m, x);
          case Attention.Lightning l -> attention(scope, layer, l, x);
          case Attention.None _ -> throw new IllegalStateException("no first half");
          case Attention.Compressed c -> attention(scope, layer, c, x);
        });
  }

  /** The same, and attention to an encoder, where the layer has that. */
  public V met(int layer, V a) {
    // Layers for multi-token prediction have none.
    Attention.Cross cross =
        layer < model.layers().size() ? model.layers().get(layer).cross() : null;
    if (cross == null) {
      return a;
    }
    var scope = new Scope(layer);
    int hidden = model.hiddenSize();
    V x = norm(scope, Role.CROSS_NORM, a);
    V q = crossed(scope, cross, Role.CROSS_QUERY, Role.CROSS_QUERY_BIAS, x);
    V o = ops.recall(layer, cross, q);
    long width = (long) cross.heads() * cross.headSize();
    V y = ops.linear(o, scope.matrix(Role.CROSS_OUTPUT, hidden, width));
    y = cross.biases() ? ops.shift(y, scope.vector(Role.CROSS_OUTPUT_BIAS, hidden)) : y;
    Architecture.Multipliers m = model.multipliers();
    return ops.add(a, m == null ? y : scaled(y, m.residual()));
  }

  /**
   * What the second half of a layer reads, [T, H].
   *
   * @param a the residual stream between the halves, or, where these read the same, before both
   */
  public V normed(int layer, V a) {
    var scope = new Scope(layer);
    if (model.hasParallelHalves()) {
      return attentionInput(scope, null, a);
    }
    FeedForward feedForward = model.layers().get(layer).feedForward();
    return read(scope, feedForward, connected(scope, Half.FEED_FORWARD, a), a);
  }

  private V attention(Scope scope, int layer, Attention.GroupedQuery a, V x) {
    if (a.headExperts() != null) {
      return attention(scope, layer, a, a.headExperts(), x);
    }
    long queries = (long) a.heads() * a.headSize();
    long keys = (long) a.keyValueHeads() * a.headSize();
    long values = (long) a.keyValueHeads() * a.valuesOfHead();
    long rows = a.outputGate() ? 2 * queries : queries;
    V q = projected(scope, a, Role.ATTENTION_QUERY, Role.ATTENTION_QUERY_BIAS, rows, x);
    V gate = q;
    if (a.outputGate()) {
      gate = ops.ofHeads(q, 2 * a.headSize(), a.headSize(), a.headSize());
      q = ops.ofHeads(q, 2 * a.headSize(), 0, a.headSize());
    }
    q = turned(scope, a, Role.ATTENTION_QUERY_NORM, queries, q);
    if (a.temperature() != null) {
      q = ops.temper(q, a.temperature());
    }
    V raw = projected(scope, a, Role.ATTENTION_KEY, Role.ATTENTION_KEY_BIAS, keys, x);
    V k = turned(scope, a, Role.ATTENTION_KEY_NORM, keys, raw);
    V v =
        a.keysAsValues()
            ? raw
            : projected(scope, a, Role.ATTENTION_VALUE, Role.ATTENTION_VALUE_BIAS, values, x);
    v = a.valueNorm() == null ? v : ops.norms(v, null, a.valueNorm(), a.valuesOfHead());
    v = a.clip() == null ? v : ops.clip(v, a.clip());
    v = a.valueFactor() == null ? v : ops.scale(v, a.valueFactor());
    Leaf sinks = a.sinks() ? scope.vector(Role.ATTENTION_SINKS, a.heads()) : null;
    V seen = a.blockIndexer() == null ? null : blocks(scope, layer, a, a.blockIndexer(), x);
    V o = ops.attend(layer, a, q, k, v, seen, sinks, distances(scope, a));
    o = a.outputGate() ? ops.switched(Attention.Opening.SIGMOID, o, gate) : o;
    long read = (long) a.heads() * a.valuesOfHead();
    if (a.gate() != null) {
      long gates = a.gate().perHead() ? a.heads() : read;
      V own = ops.linear(x, scope.matrix(Role.ATTENTION_OUTPUT_GATE, gates, model.hiddenSize()));
      o = ops.switched(a.gate().opening(), o, own);
    }
    V y = ops.linear(o, scope.matrix(Role.ATTENTION_OUTPUT, model.hiddenSize(), read));
    return a.outputBias()
        ? ops.shift(y, scope.vector(Role.ATTENTION_OUTPUT_BIAS, model.hiddenSize()))
        : y;
  }

  /** Which blocks heads see. */
  private V blocks(
      Scope scope, int layer, Attention.GroupedQuery a, Attention.BlockIndexer n, V x) {
    V q = indexed(scope, a, n, Role.ATTENTION_INDEX_QUERY, Role.ATTENTION_INDEX_QUERY_NORM, x);
    V k = indexed(scope, a, n, Role.ATTENTION_INDEX_KEY, Role.ATTENTION_INDEX_KEY_NORM, x);
    return ops.chooseBlocks(layer, n, q, k);
  }

  private V indexed(
      Scope scope,
      Attention.GroupedQuery a,
      Attention.BlockIndexer n,
      Role weight,
      Role norm,
      V x) {
    long rows = (weight == Role.ATTENTION_INDEX_QUERY ? (long) n.heads() : 1) * n.size();
    V y = ops.linear(x, scope.matrix(weight, rows, model.hiddenSize()));
    Leaf weights = scope.vector(norm, n.size());
    V normed =
        model.offsetNorms()
            ? ops.offsetNorms(y, weights, n.normEpsilon(), n.size())
            : ops.norms(y, weights, n.normEpsilon(), n.size());
    return a.rotary() == null ? normed : ops.rotate(normed, a.rotary(), n.size(), 0);
  }

  private V attention(
      Scope scope, int layer, Attention.GroupedQuery a, Attention.HeadExperts experts, V x) {
    int hidden = model.hiddenSize();
    int count = experts.count();
    int k = experts.perToken();
    long width = (long) a.keyValueHeads() * a.headSize();
    V l = ops.linear(x, scope.matrix(Role.ATTENTION_ROUTER, count, hidden));
    V s = ops.score(Routing.Score.SOFTMAX, l, 1);
    V chosen = ops.best(s, k);
    V w = ops.weigh(s, chosen, null, new Routing.Normalisation(0), 1);
    Leaf query = scope.matrix(Role.ATTENTION_QUERY, count * width, hidden);
    V each = ops.byExpert(x, query, count, chosen);
    // Heads that read the same keys stand together.
    V q =
        turned(
            scope,
            a,
            Role.ATTENTION_QUERY_NORM,
            k * width,
            swapped(each, a.keyValueHeads(), a.headSize()));
    V keys = projected(scope, a, Role.ATTENTION_KEY, Role.ATTENTION_KEY_BIAS, width, x);
    V key = turned(scope, a, Role.ATTENTION_KEY_NORM, width, keys);
    V v = projected(scope, a, Role.ATTENTION_VALUE, Role.ATTENTION_VALUE_BIAS, width, x);
    V o = swapped(ops.attend(layer, a, q, key, v, null, null, null), k, a.headSize());
    Leaf output = scope.matrix(Role.ATTENTION_OUTPUT, (long) count * hidden, width);
    V outputs = ops.multiply(ops.byExpert(o, output, count, chosen), w);
    V y = ops.columns(outputs, 0, hidden);
    for (int i = 1; i < k; i++) {
      y = ops.add(y, ops.columns(outputs, i * hidden, hidden));
    }
    return a.outputBias() ? ops.shift(y, scope.vector(Role.ATTENTION_OUTPUT_BIAS, hidden)) : y;
  }

  /**
   * The first heads of all groups, then the second ones, and so on.
   *
   * @param count of the heads of a group
   */
  private V swapped(V heads, int count, int size) {
    V all = ops.ofHeads(heads, count * size, 0, size);
    for (int i = 1; i < count; i++) {
      all = ops.join(all, ops.ofHeads(heads, count * size, i * size, size));
    }
    return all;
  }

  /** Biases of scores, stored in the layer, or in the first of an encoder or a decoder. */
  private @Nullable Leaf distances(Scope scope, Attention.GroupedQuery a) {
    Attention.Distances d = a.distances();
    if (d == null) {
      return null;
    }
    int decoder = model.encoderLayers();
    int first = Objects.requireNonNull(scope.layer()) < decoder ? 0 : decoder;
    return (d.perLayer() ? scope : new Scope(first))
        .matrix(Role.ATTENTION_DISTANCES, d.buckets(), a.heads());
  }

  private V projected(
      Scope scope, Attention.GroupedQuery a, Role weight, Role bias, long width, V x) {
    V y = ops.linear(x, scope.matrix(weight, width, model.hiddenSize()));
    return a.biases() ? ops.shift(y, scope.vector(bias, width)) : y;
  }

  /** Queries or keys as they meet each other. */
  private V turned(Scope scope, Attention.GroupedQuery a, Role weight, long width, V x) {
    Attention.QueryKeyNorm norm = a.queryKeyNorm();
    V y = norm == null || norm.afterRotation() ? x : normed(scope, a, norm, weight, width, x);
    y = a.clip() == null ? y : ops.clip(y, a.clip());
    y = a.rotary() == null ? y : ops.rotate(y, a.rotary(), a.headSize(), 0);
    return norm != null && norm.afterRotation() ? normed(scope, a, norm, weight, width, y) : y;
  }

  private V normed(
      Scope scope,
      Attention.GroupedQuery a,
      Attention.QueryKeyNorm norm,
      Role weight,
      long width,
      V x) {
    int size =
        switch (norm.span()) {
          case HEAD -> a.headSize();
          case ALL_HEADS -> Math.toIntExact(width);
        };
    if (norm.weighted() && model.offsetNorms()) {
      return ops.offsetNorms(x, scope.vector(weight, size), norm.epsilon(), size);
    }
    return ops.norms(x, norm.weighted() ? scope.vector(weight, size) : null, norm.epsilon(), size);
  }

  private V attention(Scope scope, int layer, Attention.MultiHeadLatent a, V x) {
    int shared = a.shared();
    Rotary rotary = a.rotary();
    V latent = a.queryRank() == null ? x : queryLatent(scope, a, a.queryRank(), x);
    V q = query(scope, a, latent);
    q = rotary == null ? q : ops.rotate(q, rotary, a.headSize(), a.plainSize());
    q = a.temperature() == null ? q : ops.temper(q, a.temperature());
    V down =
        ops.linear(
            x,
            scope.matrix(
                Role.ATTENTION_LATENT_DOWN, a.latentSize() + (long) shared, model.hiddenSize()));
    V c =
        ops.norm(
            ops.columns(down, 0, a.latentSize()),
            scope.vector(Role.ATTENTION_LATENT_NORM, a.latentSize()),
            a.latentNormEpsilon());
    c = a.latentFactor() == null ? c : ops.scale(c, a.latentFactor());
    V r = ops.columns(down, a.latentSize(), shared);
    r = rotary == null ? r : ops.rotate(r, rotary, shared, 0);
    long expanded = (long) a.heads() * (a.plainSize() + a.valueSize());
    V seen = a.indexer() == null ? null : chosen(scope, layer, a, a.indexer(), x, latent);
    Leaf up = scope.matrix(Role.ATTENTION_LATENT_UP, expanded, a.latentSize());
    V o = ops.latent(layer, a, q, c, r, seen, up);
    long values = (long) a.heads() * a.valueSize();
    return ops.linear(o, scope.matrix(Role.ATTENTION_OUTPUT, model.hiddenSize(), values));
  }

  private V queryLatent(Scope scope, Attention.MultiHeadLatent a, int rank, V x) {
    V down = ops.linear(x, scope.matrix(Role.ATTENTION_QUERY_DOWN, rank, model.hiddenSize()));
    return ops.norm(down, scope.vector(Role.ATTENTION_QUERY_NORM, rank), a.latentNormEpsilon());
  }

  /**
   * Queries.
   *
   * @param from x, or its latent where there is one
   */
  private V query(Scope scope, Attention.MultiHeadLatent a, V from) {
    long queries = (long) a.heads() * a.headSize();
    Integer rank = a.queryRank();
    return ops.linear(
        from,
        rank == null
            ? scope.matrix(Role.ATTENTION_QUERY, queries, model.hiddenSize())
            : scope.matrix(Role.ATTENTION_QUERY_UP, queries, rank));
  }

  /** Which positions tokens see. */
  private V chosen(
      Scope scope, int layer, Attention.MultiHeadLatent a, Attention.Indexer n, V x, V latent) {
    long hidden = model.hiddenSize();
    int size = n.size();
    Rotary rotary = Objects.requireNonNull(a.rotary()).withPairing(n.pairing());
    long rank = Objects.requireNonNull(a.queryRank());
    long queries = (long) n.heads() * size;
    V q = ops.linear(latent, scope.matrix(Role.ATTENTION_INDEX_QUERY, queries, rank));
    V k = ops.linear(x, scope.matrix(Role.ATTENTION_INDEX_KEY, size, hidden));
    Leaf norm = scope.vector(Role.ATTENTION_INDEX_KEY_NORM, size);
    Leaf bias = scope.vector(Role.ATTENTION_INDEX_KEY_NORM_BIAS, size);
    V normed = ops.shift(ops.centredNorm(k, norm, n.normEpsilon()), bias);
    return ops.choose(
        layer,
        n,
        1,
        ops.rotate(q, rotary, size, 0),
        ops.rotate(normed, rotary, size, 0),
        ops.linear(x, scope.matrix(Role.ATTENTION_INDEX_WEIGHTS, n.heads(), hidden)));
  }

  private V attention(Scope scope, int layer, Attention.Compressed a, V x) {
    int size = a.headSize();
    int hidden = model.hiddenSize();
    int plain = size - a.rotary().dimensions();
    long queries = (long) a.heads() * size;
    int rank = a.queryRank();
    V r =
        ops.norm(
            ops.linear(x, scope.matrix(Role.ATTENTION_QUERY_DOWN, rank, hidden)),
            scope.vector(Role.ATTENTION_QUERY_NORM, rank),
            a.epsilon());
    V up = ops.linear(r, scope.matrix(Role.ATTENTION_QUERY_UP, queries, rank));
    V q = ops.rotate(ops.norms(up, null, a.epsilon(), size), a.rotary(), size, plain);
    V v =
        ops.norm(
            ops.linear(x, scope.matrix(Role.ATTENTION_KEY_VALUE, size, hidden)),
            scope.vector(Role.ATTENTION_KEY_VALUE_NORM, size),
            a.epsilon());
    v = ops.rotate(v, a.rotary(), size, plain);
    Attention.Compression c = a.compression();
    V entries =
        c == null ? null : entries(scope, c, Entry.OF_TOKENS, size, a.epsilon(), a.rotary(), x);
    Attention.Indexer n = c == null ? null : c.indexer();
    V seen = c == null || n == null ? null : chosen(scope, layer, a, c, n, x, r);
    Leaf sinks = scope.vector(Role.ATTENTION_SINKS, a.heads());
    V o = ops.compressed(layer, a, q, v, entries, seen, sinks);
    o = ops.rotateBack(o, a.rotary(), size, plain);
    long inner = (long) a.groups() * a.groupRank();
    Leaf down = scope.matrix(Role.ATTENTION_OUTPUT_DOWN, inner, queries / a.groups());
    V each = ops.grouped(o, down, a.groups());
    return ops.linear(each, scope.matrix(Role.ATTENTION_OUTPUT, hidden, inner));
  }

  /** What entries, or the keys of an indexer for them, are made with. */
  private enum Entry {
    OF_TOKENS(
        Role.ATTENTION_ENTRY,
        Role.ATTENTION_ENTRY_GATE,
        Role.ATTENTION_ENTRY_PLACE,
        Role.ATTENTION_ENTRY_NORM),
    OF_KEYS(
        Role.ATTENTION_INDEX_KEY,
        Role.ATTENTION_INDEX_GATE,
        Role.ATTENTION_INDEX_PLACE,
        Role.ATTENTION_INDEX_KEY_NORM);

    private final Role weight;
    private final Role gate;
    private final Role place;
    private final Role norm;

    Entry(Role weight, Role gate, Role place, Role norm) {
      this.weight = weight;
      this.gate = gate;
      this.place = place;
      this.norm = norm;
    }
  }

  /** Each in the row of the last token that it is made of. */
  private V entries(
      Scope scope,
      Attention.Compression c,
      Entry of,
      int size,
      double epsilon,
      Rotary rotary,
      V x) {
    long width = c.width(size);
    V e =
        ops.compress(
            c,
            ops.linear(x, scope.matrix(of.weight, width, model.hiddenSize())),
            ops.linear(x, scope.matrix(of.gate, width, model.hiddenSize())),
            scope.matrix(of.place, c.tokens(), width));
    V normed = ops.norm(e, scope.vector(of.norm, size), epsilon);
    return ops.rotateToFirst(normed, rotary, size, size - rotary.dimensions(), c.tokens());
  }

  /** Which entries tokens see. */
  private V chosen(
      Scope scope,
      int layer,
      Attention.Compressed a,
      Attention.Compression c,
      Attention.Indexer n,
      V x,
      V latent) {
    int size = n.size();
    long queries = (long) n.heads() * size;
    V q = ops.linear(latent, scope.matrix(Role.ATTENTION_INDEX_QUERY, queries, a.queryRank()));
    Rotary rotary = a.rotary().withPairing(n.pairing());
    return ops.choose(
        layer,
        n,
        c.tokens(),
        ops.rotate(q, rotary, size, size - rotary.dimensions()),
        entries(scope, c, Entry.OF_KEYS, size, n.normEpsilon(), rotary, x),
        ops.linear(x, scope.matrix(Role.ATTENTION_INDEX_WEIGHTS, n.heads(), model.hiddenSize())));
  }

  private V attention(Scope scope, Attention.GatedDelta a, V x) {
    Delta<V> d =
        switch (a.projections()) {
          case BY_KIND -> byKind(scope, a, x);
          case BY_KEY_HEAD -> byKeyHead(scope, a, x);
          case APART -> apart(scope, a, x);
        };
    Ops.States states = a.states();
    V steps = ops.shift(d.decay(), scope.vector(Role.DELTA_DECAY_SHIFT, states.decays()));
    V o =
        ops.recur(
            states,
            unit(a, d.query(), 1.0 / a.keySize()),
            unit(a, d.key(), 1 / Math.sqrt(a.keySize())),
            d.value(),
            ops.decay(ops.softplus(steps, 0), scope.vector(Role.DELTA_DECAY_RATE, a.valueHeads())),
            d.write());
    Leaf weight = scope.vector(Role.DELTA_NORM, a.valueSize());
    V normed = ops.norms(o, weight, a.normEpsilon(), a.valueSize());
    V gated =
        a.sigmoidGates()
            ? ops.switched(Attention.Opening.SIGMOID, normed, d.gate())
            : ops.gate(FeedForward.Activation.SILU, null, d.gate(), normed);
    return ops.linear(gated, scope.matrix(Role.DELTA_OUTPUT, model.hiddenSize(), a.values()));
  }

  /** What the gated delta rule is computed with, but for shifts, norms and rates. */
  private record Delta<V>(V query, V key, V value, V gate, V write, V decay) {}

  private Delta<V> byKind(Scope scope, Attention.GatedDelta a, V x) {
    long width = 2 * a.keys() + a.values();
    V mixed = ops.linear(x, scope.matrix(Role.DELTA_MIXED, width, model.hiddenSize()));
    V gate = gates(scope, a, x);
    V write = writes(scope, a, x);
    return mixed(scope, a, mixed, gate, write, decays(scope, a, x));
  }

  private Delta<V> byKeyHead(Scope scope, Attention.GatedDelta a, V x) {
    int hidden = model.hiddenSize();
    int size = a.keySize();
    int served = Math.toIntExact(a.values() / a.keyHeads());
    int all = 2 * (size + served);
    V each = ops.linear(x, scope.matrix(Role.DELTA_MIXED, 2 * (a.keys() + a.values()), hidden));
    V queriesAndKeys =
        ops.join(ops.ofHeads(each, all, 0, size), ops.ofHeads(each, all, size, size));
    V mixed = ops.join(queriesAndKeys, ops.ofHeads(each, all, 2 * size, served));
    V gate = ops.ofHeads(each, all, 2 * size + served, served);
    V both = ops.linear(x, scope.matrix(Role.DELTA_WRITE_DECAY, 2L * a.valueHeads(), hidden));
    int per = a.valueHeads() / a.keyHeads();
    V write = ops.ofHeads(both, 2 * per, 0, per);
    return mixed(scope, a, mixed, gate, write, ops.ofHeads(both, 2 * per, per, per));
  }

  /** Of queries, keys and values side by side. */
  private Delta<V> mixed(Scope scope, Attention.GatedDelta a, V mixed, V gate, V write, V decay) {
    int keys = Math.toIntExact(a.keys());
    int values = Math.toIntExact(a.values());
    V c = convolved(scope, a, Role.DELTA_CONVOLUTION, 2 * keys + values, mixed);
    return new Delta<>(
        ops.columns(c, 0, keys),
        ops.columns(c, keys, keys),
        ops.columns(c, 2 * keys, values),
        gate,
        write,
        decay);
  }

  private Delta<V> apart(Scope scope, Attention.GatedDelta a, V x) {
    int hidden = model.hiddenSize();
    V q = ops.linear(x, scope.matrix(Role.DELTA_QUERY, a.keys(), hidden));
    V k = ops.linear(x, scope.matrix(Role.DELTA_KEY, a.keys(), hidden));
    V v = ops.linear(x, scope.matrix(Role.DELTA_VALUE, a.values(), hidden));
    return new Delta<>(
        convolved(scope, a, Role.DELTA_QUERY_CONVOLUTION, a.keys(), q),
        convolved(scope, a, Role.DELTA_KEY_CONVOLUTION, a.keys(), k),
        convolved(scope, a, Role.DELTA_VALUE_CONVOLUTION, a.values(), v),
        gates(scope, a, x),
        writes(scope, a, x),
        decays(scope, a, x));
  }

  private V convolved(Scope scope, Attention.GatedDelta a, Role role, long width, V m) {
    Leaf taps = scope.matrix(role, width, a.convolution());
    return ops.activate(FeedForward.Activation.SILU, ops.convolve(m, taps));
  }

  private V gates(Scope scope, Attention.GatedDelta a, V x) {
    Integer rank = a.gateRank();
    return rank == null
        ? ops.linear(x, scope.matrix(Role.DELTA_GATE, a.values(), model.hiddenSize()))
        : narrowed(scope, Role.DELTA_GATE_DOWN, rank, Role.DELTA_GATE_UP, a.values(), x);
  }

  private V writes(Scope scope, Attention.GatedDelta a, V x) {
    return ops.linear(x, scope.matrix(Role.DELTA_WRITE, a.valueHeads(), model.hiddenSize()));
  }

  private V decays(Scope scope, Attention.GatedDelta a, V x) {
    Integer rank = a.decayRank();
    long width = a.states().decays();
    return rank == null
        ? ops.linear(x, scope.matrix(Role.DELTA_DECAY, width, model.hiddenSize()))
        : narrowed(scope, Role.DELTA_DECAY_DOWN, rank, Role.DELTA_DECAY_UP, width, x);
  }

  /** By a latent of that width. */
  private V narrowed(Scope scope, Role down, int rank, Role up, long width, V x) {
    V latent = ops.linear(x, scope.matrix(down, rank, model.hiddenSize()));
    return ops.linear(latent, scope.matrix(up, width, rank));
  }

  /** Heads over their root mean square, which is √keySize times what a unit vector is, scaled. */
  private V unit(Attention.GatedDelta a, V x, double factor) {
    return ops.scale(ops.norms(x, null, a.unitEpsilon() / a.keySize(), a.keySize()), factor);
  }

  private V attention(Scope scope, Attention.ShortConvolution a, V x) {
    int width = a.width();
    long hidden = model.hiddenSize();
    Leaf input = scope.matrix(Role.CONVOLUTION_INPUT, 3L * width, hidden);
    boolean biases = a.biases();
    V d = biased(scope, biases, Role.CONVOLUTION_INPUT_BIAS, 3L * width, ops.linear(x, input));
    V v = ops.multiply(ops.columns(d, 0, width), ops.columns(d, 2 * width, width));
    Leaf taps = scope.matrix(Role.CONVOLUTION_TAPS, width, a.convolution());
    V m = biased(scope, biases, Role.CONVOLUTION_TAPS_BIAS, width, ops.convolve(v, taps));
    V o = ops.multiply(ops.columns(d, width, width), m);
    Leaf output = scope.matrix(Role.CONVOLUTION_OUTPUT, hidden, width);
    return biased(scope, biases, Role.CONVOLUTION_OUTPUT_BIAS, hidden, ops.linear(o, output));
  }

  private V biased(Scope scope, boolean biases, Role bias, long width, V y) {
    return biases ? ops.shift(y, scope.vector(bias, width)) : y;
  }

  private V attention(Scope scope, Attention.Mamba a, V x) {
    int hidden = model.hiddenSize();
    int width = a.width();
    int size = a.stateSize();
    int rank = a.stepRank();
    V d = ops.linear(x, scope.matrix(Role.MAMBA_INPUT, 2L * width, hidden));
    d = biased(scope, a.biases(), Role.MAMBA_INPUT_BIAS, 2L * width, d);
    Leaf taps = scope.matrix(Role.MAMBA_CONVOLUTION, width, a.convolution());
    V m = ops.convolve(ops.columns(d, 0, width), taps);
    m = biased(scope, a.convolutionBias(), Role.MAMBA_CONVOLUTION_BIAS, width, m);
    V v = ops.activate(FeedForward.Activation.SILU, m);
    V p = ops.linear(v, scope.matrix(Role.MAMBA_PARAMETERS, rank + 2L * size, width));
    V t = normed(scope, Role.MAMBA_STEP_NORM, a, ops.columns(p, 0, rank), rank);
    V k = normed(scope, Role.MAMBA_KEY_NORM, a, ops.columns(p, rank, size), size);
    V q = normed(scope, Role.MAMBA_QUERY_NORM, a, ops.columns(p, rank + size, size), size);
    V wide = ops.linear(t, scope.matrix(Role.MAMBA_STEP, width, rank));
    V s = ops.softplus(ops.shift(wide, scope.vector(Role.MAMBA_STEP_SHIFT, width)), 0);
    V o =
        ops.recur(
            new Ops.States(1, width, size, 1, true),
            q,
            k,
            ops.multiply(v, s),
            ops.decay(s, scope.matrix(Role.MAMBA_DECAY_RATE, width, size)),
            null);
    o = ops.add(o, ops.times(v, scope.vector(Role.MAMBA_SKIP, width)));
    V gated = ops.gate(FeedForward.Activation.SILU, null, ops.columns(d, width, width), o);
    V y = ops.linear(gated, scope.matrix(Role.MAMBA_OUTPUT, hidden, width));
    return biased(scope, a.biases(), Role.MAMBA_OUTPUT_BIAS, hidden, y);
  }

  private V normed(Scope scope, Role role, Attention.Mamba a, V x, int size) {
    return ops.norm(x, scope.vector(role, size), a.normEpsilon());
  }

  private V attention(Scope scope, Attention.Mamba2 a, V x) {
    int hidden = model.hiddenSize();
    int values = a.values();
    int keys = a.keys();
    int mixed = a.mixed();
    long rows = values + (long) mixed + a.heads();
    V d = ops.linear(x, scope.matrix(Role.MAMBA_INPUT, rows, hidden));
    d = biased(scope, a.biases(), Role.MAMBA_INPUT_BIAS, rows, d);
    Leaf taps = scope.matrix(Role.MAMBA_CONVOLUTION, mixed, a.convolution());
    V m = ops.convolve(ops.columns(d, values, mixed), taps);
    m = biased(scope, a.convolutionBias(), Role.MAMBA_CONVOLUTION_BIAS, mixed, m);
    V c = ops.activate(FeedForward.Activation.SILU, m);
    V v = ops.columns(c, 0, values);
    V t = ops.columns(d, values + mixed, a.heads());
    V s = ops.softplus(ops.shift(t, scope.vector(Role.MAMBA_STEP_SHIFT, a.heads())), a.leastStep());
    V o =
        ops.recur(
            new Ops.States(a.groups(), a.heads(), a.stateSize(), a.headSize(), false),
            ops.columns(c, values + keys, keys),
            ops.columns(c, values, keys),
            ops.multiply(v, s),
            ops.decay(s, scope.vector(Role.MAMBA_DECAY_RATE, a.heads())),
            null);
    o = ops.add(o, ops.times(v, scope.vector(Role.MAMBA_SKIP, a.heads())));
    V gated = ops.gate(FeedForward.Activation.SILU, null, ops.columns(d, 0, values), o);
    int span = values / a.normGroups();
    V normed =
        ops.times(
            ops.norms(gated, null, a.normEpsilon(), span), scope.vector(Role.MAMBA_NORM, values));
    V y = ops.linear(normed, scope.matrix(Role.MAMBA_OUTPUT, hidden, values));
    return biased(scope, a.biases(), Role.MAMBA_OUTPUT_BIAS, hidden, y);
  }

  private V attention(Scope scope, int layer, Attention.Lightning a, V x) {
    int hidden = model.hiddenSize();
    int width = a.width();
    int size = a.headSize();
    V all = ops.linear(x, scope.matrix(Role.LIGHTNING_INPUT, 3L * width, hidden));
    V each = ops.activate(FeedForward.Activation.SILU, all);
    double[] kept = a.rates(layer, model.layers().size());
    for (int i = 0; i < kept.length; i++) {
      kept[i] = StrictMath.exp(-kept[i]);
    }
    V o =
        ops.recur(
            new Ops.States(a.heads(), a.heads(), size, size, false),
            ops.ofHeads(each, 3 * size, 0, size),
            ops.ofHeads(each, 3 * size, size, size),
            ops.ofHeads(each, 3 * size, 2 * size, size),
            ops.constant("exp(−r), r per head and layer", kept),
            null);
    V normed = ops.norm(o, scope.vector(Role.LIGHTNING_NORM, width), a.normEpsilon());
    V gate = ops.linear(x, scope.matrix(Role.LIGHTNING_GATE, width, hidden));
    return ops.linear(
        ops.switched(Attention.Opening.SIGMOID, normed, gate),
        scope.matrix(Role.LIGHTNING_OUTPUT, hidden, width));
  }

  /** What routed and shared experts of a layer make of x, [T, H]. */
  public V mixture(int layer, FeedForward.MixtureOfExperts m, V x) {
    V noted = ops.note(Step.MOE_INPUT, x);
    V l = ops.note(Step.ROUTER_LOGITS, routerLogits(layer, m, noted));
    Routed<V> routed = route(layer, m, l);
    V y = ops.note(Step.EXPERTS_OUTPUT, experts(layer, m, noted, routed));
    return ops.note(Step.MOE_OUTPUT, joined(layer, m, noted, y));
  }

  /**
   * What experts make and what every token passes besides, [T, H].
   *
   * @param y what routed experts make of x
   */
  public V joined(int layer, FeedForward.MixtureOfExperts m, V x, V y) {
    if (m.outputBias()) {
      return ops.shift(y, new Scope(layer).vector(Role.EXPERT_SUM_BIAS, model.hiddenSize()));
    }
    if (m.beside() == null) {
      FeedForward.OutputFactors factors = m.outputFactors();
      V routed = factors == null ? y : scaled(y, factors.routed());
      if (m.shared() == null) {
        return routed;
      }
      V made = shared(layer, m, m.shared(), x);
      if (!m.shared().mixed()) {
        return ops.add(routed, made);
      }
      var scope = new Scope(layer);
      V z = ops.linear(x, scope.matrix(Role.SHARED_MIX, 2, model.hiddenSize()));
      return ops.mix(routed, made, ops.shift(z, scope.vector(Role.SHARED_MIX_BIAS, 2)));
    }
    var scope = new Scope(layer);
    int width = m.beside().intermediateSize();
    var dense = new FeedForward.Dense(width, m.activation(), m.ungated(), false);
    V d = dense(layer, dense, norm(scope, Role.FEED_FORWARD_NORM, x));
    return ops.add(norm(scope, Role.DENSE_OUTPUT_NORM, d), norm(scope, Role.EXPERT_OUTPUT_NORM, y));
  }

  /**
   * W x of the router, [T, E], and its bias where that is one of logits; 1 without a router. Where
   * there is a {@link Routing.Hierarchy}, those of groups stand before them.
   */
  public V routerLogits(int layer, FeedForward.MixtureOfExperts m, V x) {
    if (m.routing().score() == Routing.Score.ONE) {
      double[] ones = new double[m.experts()];
      Arrays.fill(ones, 1);
      return ops.constant("1", ones);
    }
    var scope = new Scope(layer);
    V read =
        m.beside() == null
            ? x
            : ops.scale(norm(scope, Role.ROUTER_NORM, x), 1 / Math.sqrt(model.hiddenSize()));
    Routing.Cosine cosine = m.routing().cosine();
    if (cosine != null) {
      int size = cosine.size();
      V p = ops.linear(read, scope.matrix(Role.ROUTER_PROJECTION, size, model.hiddenSize()));
      return ops.cosine(
          cosine,
          ops.shift(p, scope.vector(Role.ROUTER_PROJECTION_BIAS, size)),
          scope.matrix(Role.ROUTER, m.experts(), size),
          scope.vector(Role.ROUTER_TEMPERATURE, 1));
    }
    V l = ops.linear(read, scope.matrix(Role.ROUTER, m.experts(), model.hiddenSize()));
    Routing.Hierarchy hierarchy = m.routing().hierarchy();
    if (hierarchy != null) {
      Leaf primary = scope.matrix(Role.ROUTER_PRIMARY, hierarchy.groups(), model.hiddenSize());
      return ops.join(ops.linear(read, primary), l);
    }
    return m.routing().bias() == Routing.Bias.LOGITS ? ops.shift(l, routerBias(layer, m)) : l;
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
    return route(
        ops,
        m.routing(),
        m.experts(),
        l,
        m.routing().assigned() ? table(layer, m) : routerBias(layer, m),
        m.routing().factors() ? new Scope(layer).vector(Role.ROUTER_FACTORS, m.experts()) : null);
  }

  /** The experts of each token of the vocabulary, in a layer that has such a table, [V, k]. */
  private Leaf table(int layer, FeedForward.MixtureOfExperts m) {
    int count = m.routing().expertsPerToken();
    return new Scope(layer).matrix(Role.ROUTER_TABLE, model.vocabSize(), count);
  }

  /** The stored bias of a layer whose routing has one, [E]. */
  public static Leaf routerBias(int layer, FeedForward.MixtureOfExperts m) {
    return new Scope(layer).vector(Role.ROUTER_BIAS, m.experts());
  }

  /**
   * The routing equation alone.
   *
   * @param experts E
   * @param stored the bias, or the table of experts; not looked at where the equation has none
   * @param factors of experts' weights; null leaves these as they are without
   */
  public static <V> Routed<V> route(
      Ops<V> ops, Routing routing, int experts, V l, Leaf stored, @Nullable Leaf factors) {
    if (routing.hierarchy() != null) {
      return descend(ops, routing, routing.hierarchy(), experts, l);
    }
    V capped = routing.logitCap() == null ? l : ops.cap(l, routing.logitCap());
    V s = ops.score(routing.score(), capped, routing.sets());
    V c = routing.hasBiasOfScores() ? ops.favour(s, stored) : s;
    V limited = routing.groups() == null ? c : ops.limit(c, routing.groups());
    V best =
        routing.assigned()
            ? ops.assign(stored)
            : ops.top(limited, routing.expertsPerToken(), routing.sets());
    V chosen = ops.note(Step.ROUTER_EXPERTS, best);
    V values = routing.bias() == Routing.Bias.SELECTION_AND_WEIGHTS ? c : s;
    Routing.Mixer mixer = routing.mixer();
    Routing.Drops drops = routing.drops();
    V dropped =
        drops == null ? null : ops.note(Step.ROUTER_DROPPED, ops.drop(limited, chosen, drops));
    boolean first = drops != null && !drops.afterNormalisation();
    V w =
        mixer == null
            ? ops.weigh(
                values, chosen, first ? dropped : null, routing.normalisation(), routing.scale())
            : ops.compete(values, chosen, mixer, routing.scale());
    w = dropped == null || first ? w : ops.without(w, dropped);
    w = factors == null ? w : ops.factored(w, chosen, factors);
    return new Routed<>(chosen, ops.note(Step.ROUTER_WEIGHTS, w));
  }

  private static <V> Routed<V> descend(
      Ops<V> ops, Routing routing, Routing.Hierarchy hierarchy, int experts, V l) {
    int groups = hierarchy.groups();
    V p = ops.score(routing.score(), ops.columns(l, 0, groups), 1);
    V s = ops.score(routing.score(), ops.columns(l, groups, experts), groups);
    V best = ops.descend(hierarchy, p, s, routing.expertsPerToken());
    V chosen = ops.note(Step.ROUTER_EXPERTS, best);
    V w = ops.share(hierarchy, p, s, chosen, routing.scale());
    return new Routed<>(chosen, ops.note(Step.ROUTER_WEIGHTS, w));
  }

  /** Weighted sum over the chosen experts, [T, H]. */
  public V experts(int layer, FeedForward.MixtureOfExperts m, V x, Routed<V> routed) {
    return ops.experts(experts(layer, m), given(layer, m, x), routed.chosen(), routed.weights());
  }

  /** What experts are given of x. */
  private V given(int layer, FeedForward.MixtureOfExperts m, V x) {
    return m.beside() == null ? x : norm(new Scope(layer), Role.EXPERT_NORM, x);
  }

  /** One expert for every token, without weights, [T, H], or of tasks [T, H / tasks]. */
  public V expert(int layer, FeedForward.MixtureOfExperts m, int expert, V x) {
    V given = given(layer, m, x);
    int own = m.ofId(expert);
    return own < m.weighted() ? network(ops, given, experts(layer, m).network(own)) : given;
  }

  /** The network of a layer without experts, [T, H]. */
  public V dense(int layer, FeedForward.Dense d, V x) {
    return dense(new Scope(layer), d, x);
  }

  private V dense(Scope scope, FeedForward.Dense d, V x) {
    long hidden = model.hiddenSize();
    long width = d.intermediateSize();
    Ops.Biases biases =
        d.biases()
            ? new Ops.Biases(
                d.ungated() ? null : scope.vector(Role.DENSE_GATE_BIAS, width),
                scope.vector(Role.DENSE_UP_BIAS, width),
                scope.vector(Role.DENSE_DOWN_BIAS, hidden))
            : null;
    return network(
        ops,
        x,
        new Ops.Network(
            d.ungated() ? null : scope.matrix(Role.DENSE_GATE, width, hidden),
            scope.matrix(Role.DENSE_UP, width, hidden),
            scope.matrix(Role.DENSE_DOWN, hidden, width),
            biases,
            d.activation(),
            d.clamp()));
  }

  /** What shared experts of a layer add, [T, H]. */
  public V shared(
      int layer, FeedForward.MixtureOfExperts m, FeedForward.SharedExperts shared, V x) {
    var scope = new Scope(layer);
    long hidden = model.hiddenSize();
    long width = shared.intermediateSize();
    V y =
        network(
            ops,
            x,
            new Ops.Network(
                m.ungated() ? null : scope.matrix(Role.SHARED_GATE, width, hidden),
                scope.matrix(Role.SHARED_UP, width, hidden),
                scope.matrix(Role.SHARED_DOWN, hidden, width),
                null,
                m.activation(),
                shared.clamped() ? m.clamp() : null));
    if (shared.switched()) {
      V by = ops.linear(x, scope.matrix(Role.SHARED_SWITCH, 1, model.hiddenSize()));
      y = ops.switched(Attention.Opening.SIGMOID, y, by);
    }
    return m.outputFactors() == null ? y : scaled(y, m.outputFactors().shared());
  }

  /**
   * One network, be it dense, shared or an expert: down(f(gate x) ∘ up x), or down(f(up x)) without
   * a gate.
   */
  public static <V> V network(Ops<V> ops, V x, Ops.Network network) {
    Ops.Biases biases = network.biases();
    Leaf matrix = network.gate();
    V gate =
        matrix == null
            ? null
            : shifted(ops, ops.linear(x, matrix), biases == null ? null : biases.gate());
    V up = shifted(ops, ops.linear(x, network.up()), biases == null ? null : biases.up());
    V inside =
        gate == null
            ? ops.activate(network.activation(), up)
            : ops.gate(network.activation(), network.clamp(), gate, up);
    return shifted(ops, ops.linear(inside, network.down()), biases == null ? null : biases.down());
  }

  private static <V> V shifted(Ops<V> ops, V x, @Nullable Leaf bias) {
    return bias == null ? x : ops.shift(x, bias);
  }

  private Ops.Experts experts(int layer, FeedForward.MixtureOfExperts m) {
    var scope = new Scope(layer);
    long hidden = model.hiddenSize();
    long i = m.intermediateSize();
    List<Projection> gateUp =
        m.ungated() ? List.of(Projection.UP) : List.of(Projection.GATE, Projection.UP);
    List<Projection> down = List.of(Projection.DOWN);
    long made = hidden / m.tasks();
    Role weight = m.ungated() ? Role.EXPERT_UP : Role.EXPERT_GATE_UP;
    Role bias = m.ungated() ? Role.EXPERT_UP_BIAS : Role.EXPERT_GATE_UP_BIAS;
    return new Ops.Experts(
        scope.stack(weight, m.weighted(), gateUp, Shape.of(i, hidden)),
        scope.stack(Role.EXPERT_DOWN, m.weighted(), down, Shape.of(made, i)),
        m.biases()
            ? new Ops.ExpertBiases(
                scope.stack(bias, m.weighted(), gateUp, Shape.of(i)),
                scope.stack(Role.EXPERT_DOWN_BIAS, m.weighted(), down, Shape.of(made)))
            : null,
        m.activation(),
        m.clamp(),
        m.routing().weightsApplyTo(),
        m.identities(),
        m.tasks());
  }

  private V norm(Scope scope, Role role, V x) {
    Leaf weight = scope.vector(role, model.hiddenSize());
    V y;
    Double last = role == Role.FINAL_NORM ? model.finalNormEpsilon() : null;
    double epsilon = last == null ? model.normEpsilon() : last;
    if (model.offsetNorms()) {
      y = ops.offsetNorms(x, weight, epsilon, model.hiddenSize());
    } else if (model.centredNorms()) {
      y = ops.centredNorm(x, weight, epsilon);
    } else {
      y = ops.norm(x, weight, epsilon);
    }
    return model.normBiases() ? ops.shift(y, scope.vector(bias(role), model.hiddenSize())) : y;
  }

  private static Role bias(Role norm) {
    return switch (norm) {
      case ATTENTION_NORM -> Role.ATTENTION_NORM_BIAS;
      case FEED_FORWARD_NORM -> Role.FEED_FORWARD_NORM_BIAS;
      case FINAL_NORM -> Role.FINAL_NORM_BIAS;
      case CROSS_NORM -> Role.CROSS_NORM_BIAS;
      case ENCODER_NORM -> Role.ENCODER_NORM_BIAS;
      default -> throw new IllegalStateException(norm + " has no bias");
    };
  }

  /**
   * Names the tensors of one layer, or of the model.
   *
   * @param layer null outside the layers
   * @param again whether what a layer does once more is meant ({@link FeedForward.Shortcut})
   */
  record Scope(@Nullable Integer layer, boolean again) {
    Scope(@Nullable Integer layer) {
      this(layer, false);
    }

    Leaf matrix(Role role, long rows, long columns) {
      return spec(role, Shape.of(rows, columns), null).whole();
    }

    Leaf vector(Role role, long size) {
      return spec(role, Shape.of(size), null).whole();
    }

    TensorSpec stack(Role role, int experts, List<Projection> projections, Shape each) {
      var stack = new TensorSpec.Stack(0, experts, projections, each);
      return spec(role, stack.shape(), stack);
    }

    TensorSpec spec(Role role, Shape shape, TensorSpec.@Nullable Stack stack) {
      String prefix = layer == null ? "" : "layers." + layer + (again ? ".again." : ".");
      return new TensorSpec(prefix + role.tensor(), role, layer, shape, stack);
    }
  }
}

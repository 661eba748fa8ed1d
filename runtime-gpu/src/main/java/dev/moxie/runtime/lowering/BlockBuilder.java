package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One method per part of an architecture. Activations are matrices of one row per token, [S,
 * width], in the target's compute dtype.
 */
final class BlockBuilder {
  private final MoxiePackage pack;
  private final Target target;
  private final boolean permuted;
  private final Graph graph;
  private final Weights weights;

  /**
   * A builder.
   *
   * @param permuted whether experts are put in another order
   */
  BlockBuilder(MoxiePackage pack, Target target, boolean permuted, Graph graph) {
    this.pack = pack;
    this.target = target;
    this.permuted = permuted;
    this.graph = graph;
    this.weights = new Weights(pack, target.compute(), graph);
  }

  private Architecture architecture() {
    return pack.architecture();
  }

  /** ids [S] to hidden states [S, H]. */
  String embedding(String ids) {
    return weights.gathered("embedding.weight", ids);
  }

  /** RMS norm over the last axis, with the architecture's epsilon. */
  String norm(String x, String weight) {
    return norm(x, weight, architecture().normEpsilon());
  }

  private String norm(String x, String weight, double epsilon) {
    return graph.node(
        "RMSNormalization",
        List.of(x, weights.of(weight)),
        attribute("epsilon", (float) epsilon),
        attribute("axis", -1));
  }

  /** Hidden states [S, H] to logits [S, V]. */
  String head(String hidden) {
    String normed = norm(hidden, "final_norm.weight");
    String matrix = architecture().tiedEmbeddings() ? "embedding.weight" : "head.weight";
    return linear(normed, matrix);
  }

  /** What attention reads besides its input: where the tokens stand, and what came before. */
  record Positions(String cos, String sin, String lastPosition, String totalLength) {}

  /** The cache of one layer as it goes in and comes out, in its {@link CacheLayout}. */
  record Cache(String pastKey, String pastValue, String presentKey, String presentValue) {}

  /** Self-attention over [S, H], output projection included, residual not. */
  String attention(int layer, String x, Positions positions, Cache cache) {
    String prefix = "layers." + layer + ".attention.";
    String joined =
        switch (architecture().layers().get(layer).attention()) {
          case Attention.GroupedQuery a -> groupedQuery(layer, prefix, a, x, positions, cache);
          case Attention.MultiHeadLatent a ->
              CacheLayout.of(a, target).latent()
                  ? latent(layer, prefix, a, x, positions, cache)
                  : expandedLatent(layer, prefix, a, x, positions, cache);
        };
    return linear(joined, prefix + "output.weight");
  }

  private String groupedQuery(
      int layer,
      String prefix,
      Attention.GroupedQuery a,
      String x,
      Positions positions,
      Cache cache) {
    int width = a.headSize();
    var query = new Heads(linear(x, prefix + "query.weight"), a.heads(), width);
    var key = new Heads(linear(x, prefix + "key.weight"), a.keyValueHeads(), width);
    var value = new Heads(linear(x, prefix + "value.weight"), a.keyValueHeads(), width);
    Heads attended =
        attend(
            layer,
            a,
            a.window(),
            rotate(query, Objects.requireNonNull(a.rotary()), positions),
            rotate(key, Objects.requireNonNull(a.rotary()), positions),
            value,
            positions,
            cache);
    return firstOf(attended, width).value();
  }

  /**
   * Latent attention in the absorbed form: since q · (U c) = (Uᵀ q) · c, queries are taken to the
   * latent's space, where all heads share one key, [c; r], which is its own value; so the latent is
   * all that is cached (DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1.2).
   */
  private String latent(
      int layer,
      String prefix,
      Attention.MultiHeadLatent a,
      String x,
      Positions positions,
      Cache cache) {
    int turned = a.rotary().dimensions();
    int width = a.latentSize() + turned;
    List<String> query = splitHeads(query(prefix, a, x), a.heads(), a.plainSize(), turned);
    String inLatent = perHead(query.get(0), keyFromLatent(prefix, a));
    Heads turnedQuery = rotate(new Heads(query.get(1), a.heads(), turned), a.rotary(), positions);
    List<String> compressed = compressed(prefix, a, x, positions);
    var key = new Heads(concat(compressed.get(0), compressed.get(1), 1), 1, width);
    Heads attended =
        attend(
            layer,
            a,
            null,
            new Heads(concat(inLatent, split(turnedQuery), 2), a.heads(), width),
            key,
            key,
            positions,
            cache);
    String context = split(firstOf(attended, a.latentSize()));
    return joined(perHead(context, valueFromLatent(prefix, a)), a.heads(), a.valueSize());
  }

  /** Latent attention with keys and values of every head: larger in the cache, for any operator. */
  private String expandedLatent(
      int layer,
      String prefix,
      Attention.MultiHeadLatent a,
      String x,
      Positions positions,
      Cache cache) {
    int heads = a.heads();
    int turned = a.rotary().dimensions();
    List<String> query = splitHeads(query(prefix, a, x), heads, a.plainSize(), turned);
    String turnedQuery =
        split(rotate(new Heads(query.get(1), heads, turned), a.rotary(), positions));
    List<String> compressed = compressed(prefix, a, x, positions);
    List<String> expanded =
        splitHeads(
            linear(compressed.get(0), prefix + "latent_up.weight"),
            heads,
            a.plainSize(),
            a.valueSize());
    String sharedKey =
        graph.node("Reshape", List.of(compressed.get(1), graph.longs(-1, 1, turned)));
    String turnedKey = graph.node("Expand", List.of(sharedKey, graph.longs(1, heads, 1)));
    Heads attended =
        attend(
            layer,
            a,
            null,
            new Heads(concat(query.get(0), turnedQuery, 2), heads, a.headSize()),
            new Heads(concat(expanded.get(0), turnedKey, 2), heads, a.headSize()),
            new Heads(expanded.get(1), heads, a.valueSize()),
            positions,
            cache);
    return firstOf(attended, a.valueSize()).value();
  }

  /** Queries of all heads, [S, heads · headSize]. */
  private String query(String prefix, Attention.MultiHeadLatent a, String x) {
    if (a.queryRank() == null) {
      return linear(x, prefix + "query.weight");
    }
    String down = linear(x, prefix + "query_down.weight");
    String normed = norm(down, prefix + "query_norm.weight", a.latentNormEpsilon());
    return linear(normed, prefix + "query_up.weight");
  }

  /** The normed latent [S, latentSize] and the turned key that all heads share. */
  private List<String> compressed(
      String prefix, Attention.MultiHeadLatent a, String x, Positions positions) {
    int turned = a.rotary().dimensions();
    List<String> parts =
        graph.nodes(
            "Split",
            List.of(linear(x, prefix + "latent_down.weight"), graph.longs(a.latentSize(), turned)),
            2,
            attribute("axis", 1));
    Heads key = rotate(new Heads(parts.get(1), 1, turned), a.rotary(), positions);
    return List.of(
        norm(parts.get(0), prefix + "latent_norm.weight", a.latentNormEpsilon()), key.value());
  }

  /** [heads, plainSize, latentSize]. */
  private String keyFromLatent(String prefix, Attention.MultiHeadLatent a) {
    return latentUp(prefix, a, 0, a.plainSize());
  }

  /** [heads, latentSize, valueSize]. */
  private String valueFromLatent(String prefix, Attention.MultiHeadLatent a) {
    String rows = latentUp(prefix, a, a.plainSize(), a.plainSize() + a.valueSize());
    return transpose(rows, 0, 2, 1);
  }

  private String latentUp(String prefix, Attention.MultiHeadLatent a, int from, int to) {
    long rows = (long) a.plainSize() + a.valueSize();
    String byHead =
        graph.node(
            "Reshape",
            List.of(
                weights.of(prefix + "latent_up.weight"),
                graph.longs(a.heads(), rows, a.latentSize())));
    return graph.node("Slice", List.of(byHead, graph.longs(from), graph.longs(to), graph.longs(1)));
  }

  /** x [S, heads, in] times a matrix per head, [heads, in, out], to [S, heads, out]. */
  private String perHead(String x, String matrices) {
    String product = graph.node("MatMul", List.of(transpose(x, 1, 0, 2), matrices));
    return transpose(product, 1, 0, 2);
  }

  /** [S, heads · (first + second)] to [S, heads, first] and [S, heads, second]. */
  private List<String> splitHeads(String x, int heads, int first, int second) {
    return graph.nodes(
        "Split",
        List.of(split(new Heads(x, heads, first + second)), graph.longs(first, second)),
        2,
        attribute("axis", 2));
  }

  /** Heads of one token side by side: [.., S, count · width], or [S, count, width]. */
  private record Heads(String value, int count, int width) {}

  /** To [S, count, width]. */
  private String split(Heads x) {
    return graph.node("Reshape", List.of(x.value(), graph.longs(-1, x.count(), x.width())));
  }

  /** To [S, count · width]. */
  private String joined(String x, int count, int width) {
    return graph.node("Reshape", List.of(x, graph.longs(-1, (long) count * width)));
  }

  private Heads rotate(Heads x, Rotary rotary, Positions positions) {
    String batch =
        graph.node("Reshape", List.of(x.value(), graph.longs(1, -1, (long) x.count() * x.width())));
    // The operator means the whole head by 0.
    long dimensions = rotary.dimensions() == x.width() ? 0 : rotary.dimensions();
    String turned =
        graph.node(
            "RotaryEmbedding",
            List.of(batch, positions.cos(), positions.sin()),
            attribute("num_heads", x.count()),
            attribute("rotary_embedding_dim", dimensions),
            attribute("interleaved", rotary.pairing() == Rotary.Pairing.INTERLEAVED ? 1 : 0));
    return new Heads(joined(turned, x.count(), x.width()), x.count(), x.width());
  }

  /** Causal attention with one operator, which appends keys and values to the cache. */
  private Heads attend(
      int layer,
      Attention attention,
      @Nullable Integer window,
      Heads query,
      Heads key,
      Heads value,
      Positions positions,
      Cache cache) {
    CacheLayout layout = CacheLayout.of(attention, target);
    int width = layout.headSize();
    String output = "attention_" + layer;
    graph.contrib(
        "GroupQueryAttention",
        List.of(
            widened(query, width),
            widened(key, width),
            widened(value, width),
            cache.pastKey(),
            cache.pastValue(),
            positions.lastPosition(),
            positions.totalLength()),
        List.of(output, cache.presentKey(), cache.presentValue()),
        attribute("num_heads", query.count()),
        attribute("kv_num_heads", layout.heads()),
        attribute("scale", (float) attention.softmaxScale()),
        attribute("local_window_size", window == null ? -1L : window));
    return new Heads(output, query.count(), width);
  }

  /** Widens heads with zeros, which change neither scores nor outputs, to [1, S, count · width]. */
  private String widened(Heads x, int width) {
    String wide = x.value();
    if (width != x.width()) {
      long more = (long) width - x.width();
      wide = graph.node("Pad", List.of(split(x), graph.longs(0, 0, 0, 0, 0, more)));
    }
    return graph.node("Reshape", List.of(wide, graph.longs(1, -1, (long) x.count() * width)));
  }

  /** The first numbers of each head, [S, count · width]. */
  private Heads firstOf(Heads x, int width) {
    String cut = x.value();
    if (width != x.width()) {
      cut =
          graph.node(
              "Slice", List.of(split(x), graph.longs(0), graph.longs(width), graph.longs(2)));
    }
    return new Heads(joined(cut, x.count(), width), x.count(), width);
  }

  private String concat(String a, String b, int axis) {
    return graph.node("Concat", List.of(a, b), attribute("axis", axis));
  }

  private String transpose(String x, long... axes) {
    return graph.node(
        "Transpose", List.of(x), attribute("perm", Arrays.stream(axes).boxed().toList()));
  }

  /** Router logits [S, E], before the score function. */
  String router(int layer, FeedForward.MixtureOfExperts moe, String x) {
    return times(x, ordered(layer, moe, weights.of("layers." + layer + ".router.weight")));
  }

  /** What has an entry per expert along its first axis, in the order that experts take here. */
  private String ordered(int layer, FeedForward.MixtureOfExperts moe, String x) {
    if (!permuted) {
      return x;
    }
    long[] order = Arrays.stream(ExpertOrder.of(layer, moe)).asLongStream().toArray();
    return graph.node("Gather", List.of(x, graph.longs(order)));
  }

  /** One network for every token, [S, H] to [S, H]: a dense layer's, or the shared experts. */
  String network(String stem, FeedForward.Activation activation, String x) {
    String gate = linear(x, stem + ".gate.weight");
    String inner = gated(activation, gate, linear(x, stem + ".up.weight"));
    return linear(inner, stem + ".down.weight");
  }

  private String gated(FeedForward.Activation activation, String gate, String up) {
    String activated =
        switch (activation) {
          case SILU -> graph.node("Mul", List.of(gate, graph.node("Sigmoid", List.of(gate))));
        };
    return graph.node("Mul", List.of(activated, up));
  }

  /** All routed experts in one operator, weighted and summed, [S, H]. */
  String fusedExperts(int layer, FeedForward.MixtureOfExperts moe, String x, String routerLogits) {
    String prefix = "layers." + layer + ".";
    RoutingBuilder.Disguised routed =
        new RoutingBuilder(graph)
            .route(
                pack.folder() + ", layer " + layer,
                moe,
                graph.cast(routerLogits, target.compute(), Dtype.F32),
                moe.routing().hasBiasOfScores()
                    ? ordered(layer, moe, weights.inF32(prefix + "router.bias"))
                    : "");
    String gateUp = weights.stack(prefix + "experts.gate_up.weight", Projection.GATE, 2);
    String output = "moe_" + layer;
    graph.contrib(
        "MoE",
        List.of(
            x,
            fromF32(routed.logits()),
            interleave(ordered(layer, moe, gateUp), moe),
            "",
            ordered(layer, moe, weights.stack(prefix + "experts.down.weight", Projection.DOWN, 1))),
        List.of(output),
        attribute("k", moe.routing().expertsPerToken()),
        attribute("activation_type", "swiglu"),
        attribute("activation_alpha", 1f),
        attribute("activation_beta", 0f),
        // Rows alternating: 2, gate then up, is unknown to the CPU provider, and on CUDA wrong with
        // some kernel tactics in float16.
        attribute("swiglu_fusion", 1),
        // Also keeps clear of the 1.29 CPU kernel that returns zeros when it may run in place.
        attribute("normalize_routing_weights", 1));
    return graph.node("Mul", List.of(output, fromF32(routed.total())));
  }

  /** [E, 2I, H], gate rows then up rows, to gate and up rows alternating. */
  private String interleave(String gateUp, FeedForward.MixtureOfExperts moe) {
    long e = moe.experts();
    long i = moe.intermediateSize();
    long h = architecture().hiddenSize();
    String split = graph.node("Reshape", List.of(gateUp, graph.longs(e, 2, i, h)));
    return graph.node("Reshape", List.of(transpose(split, 0, 2, 1, 3), graph.longs(e, 2 * i, h)));
  }

  String add(String a, String b) {
    return graph.node("Add", List.of(a, b));
  }

  /** x [S, in] times Wᵀ, the stored W [out, in]. */
  private String linear(String x, String weight) {
    return times(x, weights.of(weight));
  }

  private String times(String x, String matrix) {
    return graph.node("Gemm", List.of(x, matrix), attribute("transB", 1));
  }

  /** From float32 to the compute dtype. */
  String fromF32(String x) {
    return graph.cast(x, Dtype.F32, target.compute());
  }

  /** From the compute dtype to float32, under a given name. */
  void widen(String x, String name) {
    graph.standard("Cast", List.of(x), List.of(name), attribute("to", Graph.type(Dtype.F32)));
  }
}

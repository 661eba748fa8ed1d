package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;

/**
 * One method per part of an architecture; both executions are made of these. Activations are
 * matrices of one row per token, [S, width], in the target's compute dtype.
 */
final class BlockBuilder {
  /** ONNX Runtime refuses GroupQueryAttention heads whose width is no multiple of this. */
  private static final int HEAD_MULTIPLE = 8;

  private final MoxiePackage pack;
  private final Target target;
  private final Graph graph;

  BlockBuilder(MoxiePackage pack, Target target, Graph graph) {
    this.pack = pack;
    this.target = target;
    this.graph = graph;
  }

  private Architecture architecture() {
    return pack.architecture();
  }

  /** Width of a head in the key/value cache. */
  static int cacheHeadSize(Attention.GroupedQuery attention) {
    return Math.ceilDiv(attention.headSize(), HEAD_MULTIPLE) * HEAD_MULTIPLE;
  }

  /** ids [S] to hidden states [S, H]. */
  String embedding(String ids) {
    IndexRow row = pack.tensor("embedding.weight");
    return cast(graph.node("Gather", List.of(stored(row.name(), row), ids)), row.dtype());
  }

  /** RMS norm over the last axis. */
  String norm(String x, String weight) {
    return graph.node(
        "RMSNormalization",
        List.of(x, weight(weight)),
        attribute("epsilon", (float) architecture().normEpsilon()),
        attribute("axis", -1));
  }

  /** Hidden states [S, H] to logits [S, V]. */
  String head(String hidden) {
    String normed = norm(hidden, "final_norm.weight");
    String matrix = architecture().tiedEmbeddings() ? "embedding.weight" : "head.weight";
    return linear(normed, weight(matrix));
  }

  /** What attention reads besides its input: where the tokens stand, and what came before. */
  record Positions(String cos, String sin, String lastPosition, String totalLength) {}

  /** The cache of one layer as it goes in and comes out, [1, kvHeads, capacity, head]. */
  record Cache(String pastKey, String pastValue, String presentKey, String presentValue) {}

  /** Self-attention over [S, H], output projection included, residual not. */
  String attention(int layer, String x, Positions positions, Cache cache) {
    return switch (architecture().layers().get(layer).attention()) {
      case Attention.GroupedQuery a -> groupedQuery(layer, a, x, positions, cache);
    };
  }

  private String groupedQuery(
      int layer, Attention.GroupedQuery a, String x, Positions positions, Cache cache) {
    String prefix = "layers." + layer + ".attention.";
    String query = heads(linear(x, weight(prefix + "query.weight")), a.heads(), a.headSize());
    String key = heads(linear(x, weight(prefix + "key.weight")), a.keyValueHeads(), a.headSize());
    String value =
        heads(linear(x, weight(prefix + "value.weight")), a.keyValueHeads(), a.headSize());
    String output = "attention_" + layer;
    graph.contrib(
        "GroupQueryAttention",
        List.of(
            padHeads(rotate(query, a.heads(), a, positions), a.heads(), a),
            padHeads(rotate(key, a.keyValueHeads(), a, positions), a.keyValueHeads(), a),
            padHeads(value, a.keyValueHeads(), a),
            cache.pastKey(),
            cache.pastValue(),
            positions.lastPosition(),
            positions.totalLength()),
        List.of(output, cache.presentKey(), cache.presentValue()),
        attribute("num_heads", a.heads()),
        attribute("kv_num_heads", a.keyValueHeads()),
        attribute("scale", (float) a.scale()),
        attribute("local_window_size", a.window() == null ? -1L : a.window()));
    String joined = unpadHeads(output, a);
    return linear(joined, weight(prefix + "output.weight"));
  }

  /** [S, n·D] to [1, S, n·D]. */
  private String heads(String x, int heads, int headSize) {
    return graph.node("Reshape", List.of(x, graph.longs(1, -1, (long) heads * headSize)));
  }

  private String rotate(String x, int heads, Attention.GroupedQuery a, Positions positions) {
    return graph.node(
        "RotaryEmbedding",
        List.of(x, positions.cos(), positions.sin()),
        attribute("num_heads", heads),
        attribute("rotary_embedding_dim", rotaryDimensions(a)),
        attribute("interleaved", a.rotary().pairing() == Rotary.Pairing.INTERLEAVED ? 1 : 0));
  }

  /** The operator means the whole head by 0. */
  private static long rotaryDimensions(Attention.GroupedQuery a) {
    return a.rotary().dimensions() == a.headSize() ? 0 : a.rotary().dimensions();
  }

  /** Widens heads with zeros, which change neither scores nor outputs. */
  private String padHeads(String x, int heads, Attention.GroupedQuery a) {
    int padded = cacheHeadSize(a);
    if (padded == a.headSize()) {
      return x;
    }
    String split = graph.node("Reshape", List.of(x, graph.longs(1, -1, heads, a.headSize())));
    String wide =
        graph.node(
            "Pad", List.of(split, graph.longs(0, 0, 0, 0, 0, 0, 0, (long) padded - a.headSize())));
    return heads(wide, heads, padded);
  }

  private String unpadHeads(String x, Attention.GroupedQuery a) {
    int padded = cacheHeadSize(a);
    String result = x;
    if (padded != a.headSize()) {
      String split = graph.node("Reshape", List.of(x, graph.longs(-1, a.heads(), padded)));
      result =
          graph.node(
              "Slice", List.of(split, graph.longs(0), graph.longs(a.headSize()), graph.longs(2)));
    }
    return graph.node("Reshape", List.of(result, graph.longs(-1, (long) a.heads() * a.headSize())));
  }

  /** Router logits [S, E], before the score function. */
  String router(int layer, String x) {
    return linear(x, weight("layers." + layer + ".router.weight"));
  }

  /** One expert on its tokens: [n, H] and routing weights [n, 1] to weighted outputs [n, H]. */
  String expert(int layer, int expert, String x, String routingWeights) {
    FeedForward.MixtureOfExperts moe = experts(layer);
    String stack = "layers." + layer + ".experts.";
    IndexRow gate = pack.slice(stack + "gate_up.weight", expert, Projection.GATE);
    IndexRow down = pack.slice(stack + "down.weight", expert, Projection.DOWN);
    // The up rows follow the gate rows, so one matrix [2I, H] serves both.
    String gateUp =
        cast(
            graph.external(
                "gate_up",
                gate.dtype(),
                List.of(2 * gate.shape().dim(0), gate.shape().dim(1)),
                gate.shard(),
                gate.offset(),
                2 * gate.bytes()),
            gate.dtype());
    graph.standard(
        "Split",
        List.of(linear(x, gateUp)),
        List.of("gate", "up"),
        attribute("axis", 1),
        attribute("num_outputs", 2));
    String gated =
        switch (moe.activation()) {
          case SILU -> graph.node("Mul", List.of("gate", graph.node("Sigmoid", List.of("gate"))));
        };
    String inner = graph.node("Mul", List.of(gated, "up"));
    String output = linear(inner, cast(stored("down", down), down.dtype()));
    return graph.node("Mul", List.of(output, routingWeights));
  }

  /**
   * All experts and the routing in one operator. It computes softmax over all experts, takes the
   * largest k and renormalises them, and nothing else.
   *
   * @throws UnsupportedException if the routing equation is another
   */
  String fusedExperts(int layer, String x, String routerLogits) {
    FeedForward.MixtureOfExperts moe = experts(layer);
    Routing routing = moe.routing();
    if (routing.score() != Routing.Score.SOFTMAX
        || routing.normalisation() == null
        || routing.normalisation().epsilon() != 0
        || routing.scale() != 1) {
      throw new UnsupportedException(
          pack.folder() + ", layer " + layer,
          "softmax scores, renormalised without epsilon or scale",
          routing.toString(),
          "run it with --execution scheduled");
    }
    String stack = "layers." + layer + ".experts.";
    String gateUp = weight(stack + "gate_up.weight");
    if (target.interleavedGateUp()) {
      gateUp = interleave(gateUp, moe);
    }
    String output = "moe_" + layer;
    graph.contrib(
        "MoE",
        List.of(x, routerLogits, gateUp, "", weight(stack + "down.weight")),
        List.of(output),
        attribute("k", routing.expertsPerToken()),
        attribute("activation_type", "swiglu"),
        attribute("activation_alpha", 1f),
        attribute("activation_beta", 0f),
        attribute("swiglu_fusion", target.interleavedGateUp() ? 1 : 2),
        // Also keeps clear of the 1.29 CPU kernel that returns zeros when it may run in place.
        attribute("normalize_routing_weights", 1));
    return output;
  }

  /** [E, 2I, H], gate rows then up rows, to gate and up rows alternating. */
  private String interleave(String gateUp, FeedForward.MixtureOfExperts moe) {
    long e = moe.experts();
    long i = moe.intermediateSize();
    long h = architecture().hiddenSize();
    String split = graph.node("Reshape", List.of(gateUp, graph.longs(e, 2, i, h)));
    String turned =
        graph.node("Transpose", List.of(split), attribute("perm", List.of(0L, 2L, 1L, 3L)));
    return graph.node("Reshape", List.of(turned, graph.longs(e, 2 * i, h)));
  }

  private FeedForward.MixtureOfExperts experts(int layer) {
    return switch (architecture().layers().get(layer).feedForward()) {
      case FeedForward.MixtureOfExperts moe -> moe;
    };
  }

  String add(String a, String b) {
    return graph.node("Add", List.of(a, b));
  }

  /** x [S, in] times Wᵀ, W [out, in]. */
  private String linear(String x, String matrix) {
    return graph.node("Gemm", List.of(x, matrix), attribute("transB", 1));
  }

  private String weight(String name) {
    IndexRow row = pack.tensor(name);
    return cast(stored(name, row), row.dtype());
  }

  private String stored(String name, IndexRow row) {
    return graph.external(
        name, row.dtype(), row.shape().dims(), row.shard(), row.offset(), row.bytes());
  }

  /** To the compute dtype, where {@code x} has another. */
  String cast(String x, Dtype from) {
    return from == target.compute()
        ? x
        : graph.node("Cast", List.of(x), attribute("to", Graph.type(target.compute())));
  }

  /** From the compute dtype to float32, under a given name. */
  void widen(String x, String name) {
    graph.standard("Cast", List.of(x), List.of(name), attribute("to", Graph.type(Dtype.F32)));
  }
}

package dev.moxie.runtime.lowering;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import java.util.stream.IntStream;

/**
 * The graphs of both executions. All take and give float32, whatever they compute in; S is the
 * number of new tokens, C the capacity of the key/value cache.
 *
 * <p>Rotary angles come in as cosines and sines [1, S, pairs] of the new tokens' positions; {@code
 * last_position} [1] and {@code total_length} [] are the index of the last new token and the number
 * of tokens so far with it, both int32. Caches [1, kvHeads, C, head] go in and come out, and may be
 * the same memory.
 *
 * <p>Weights are external data: the session option {@code
 * session.model_external_initializers_file_folder_path} must name the package's folder.
 */
public final class Lowering {
  private final MoxiePackage pack;
  private final Target target;

  /**
   * Prepares the graphs of a package.
   *
   * @throws UnsupportedException if layers turn positions in different ways: the graphs take one
   *     set of angles
   */
  public Lowering(MoxiePackage pack, Target target) {
    this.pack = pack;
    this.target = target;
    long rotations =
        IntStream.range(0, pack.architecture().layers().size())
            .mapToObj(layer -> attention(pack.architecture(), layer).rotary())
            .distinct()
            .count();
    if (rotations > 1) {
      throw new UnsupportedException(
          pack.folder().toString(),
          "one rotary embedding for all layers",
          rotations + " of them",
          "this build does not execute such a model");
    }
  }

  /** {@code ids} int64 [S] to {@code hidden} [S, H]. */
  public OnnxMl.ModelProto embedding() {
    Graph graph = new Graph("embedding");
    var blocks = new BlockBuilder(pack, target, graph);
    output(graph, blocks, blocks.embedding(graph.input("ids", Dtype.I64, "S")), "hidden", hidden());
    return graph.model();
  }

  /** {@code hidden} [S, H] to {@code logits} [S, V]. */
  public OnnxMl.ModelProto head() {
    Graph graph = new Graph("head");
    var blocks = new BlockBuilder(pack, target, graph);
    String x = blocks.cast(graph.input("hidden", Dtype.F32, "S", hidden()), Dtype.F32);
    output(graph, blocks, blocks.head(x), "logits", pack.architecture().vocabSize());
    return graph.model();
  }

  /**
   * A layer up to and including its router: {@code hidden} [S, H] to {@code residual} [S, H] (after
   * attention), {@code normed} [S, H] (what router and experts read) and {@code router_logits} [S,
   * E].
   */
  public OnnxMl.ModelProto layer(int layer) {
    Graph graph = new Graph("layer-" + layer);
    var blocks = new BlockBuilder(pack, target, graph);
    String x = blocks.cast(graph.input("hidden", Dtype.F32, "S", hidden()), Dtype.F32);
    BlockBuilder.Positions positions = positions(graph, blocks);
    Routed routed = attendAndRoute(graph, blocks, layer, x, positions);
    output(graph, blocks, routed.residual(), "residual", hidden());
    output(graph, blocks, routed.normed(), "normed", hidden());
    output(graph, blocks, routed.logits(), "router_logits", experts(layer));
    return graph.model();
  }

  /** {@code x} [n, H] and {@code weights} [n, 1] to {@code y} [n, H]: weight times expert(x). */
  public OnnxMl.ModelProto expert(int layer, int expert) {
    Graph graph = new Graph("layer-" + layer + "-expert-" + expert);
    var blocks = new BlockBuilder(pack, target, graph);
    String x = blocks.cast(graph.input("x", Dtype.F32, "n", hidden()), Dtype.F32);
    String weights = blocks.cast(graph.input("weights", Dtype.F32, "n", 1), Dtype.F32);
    output(graph, blocks, blocks.expert(layer, expert, x, weights), "y", hidden());
    return graph.model();
  }

  /** The whole model: {@code ids} int64 [S] to {@code logits} [S, V], caches as in a layer. */
  public OnnxMl.ModelProto wholeModel() {
    Graph graph = new Graph("model");
    var blocks = new BlockBuilder(pack, target, graph);
    String x = blocks.embedding(graph.input("ids", Dtype.I64, "S"));
    BlockBuilder.Positions positions = positions(graph, blocks);
    for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
      Routed routed = attendAndRoute(graph, blocks, layer, x, positions);
      x =
          blocks.add(
              routed.residual(), blocks.fusedExperts(layer, routed.normed(), routed.logits()));
    }
    output(graph, blocks, blocks.head(x), "logits", pack.architecture().vocabSize());
    return graph.model();
  }

  private record Routed(String residual, String normed, String logits) {}

  private Routed attendAndRoute(
      Graph graph, BlockBuilder blocks, int layer, String x, BlockBuilder.Positions positions) {
    String prefix = "layers." + layer + ".";
    String attended =
        blocks.attention(
            layer,
            blocks.norm(x, prefix + "attention_norm.weight"),
            positions,
            cache(graph, layer));
    String residual = blocks.add(x, attended);
    String normed = blocks.norm(residual, prefix + "feed_forward_norm.weight");
    return new Routed(residual, normed, blocks.router(layer, normed));
  }

  private BlockBuilder.Positions positions(Graph graph, BlockBuilder blocks) {
    int pairs = attention(pack.architecture(), 0).rotary().dimensions() / 2;
    return new BlockBuilder.Positions(
        blocks.cast(graph.input("cos", Dtype.F32, 1, "S", pairs), Dtype.F32),
        blocks.cast(graph.input("sin", Dtype.F32, 1, "S", pairs), Dtype.F32),
        graph.input("last_position", Dtype.I32, 1),
        graph.input("total_length", Dtype.I32));
  }

  private BlockBuilder.Cache cache(Graph graph, int layer) {
    Attention.GroupedQuery a = attention(pack.architecture(), layer);
    Object[] shape = {1, a.keyValueHeads(), "C", BlockBuilder.cacheHeadSize(a)};
    var cache =
        new BlockBuilder.Cache(
            graph.input(pastKey(layer), target.compute(), shape),
            graph.input(pastValue(layer), target.compute(), shape),
            presentKey(layer),
            presentValue(layer));
    graph.output(cache.presentKey(), target.compute(), shape);
    graph.output(cache.presentValue(), target.compute(), shape);
    return cache;
  }

  private static void output(
      Graph graph, BlockBuilder blocks, String value, String name, int width) {
    blocks.widen(value, name);
    graph.output(name, Dtype.F32, "S", width);
  }

  private int hidden() {
    return pack.architecture().hiddenSize();
  }

  private int experts(int layer) {
    return switch (pack.architecture().layers().get(layer).feedForward()) {
      case FeedForward.MixtureOfExperts moe -> moe.experts();
    };
  }

  private static Attention.GroupedQuery attention(Architecture architecture, int layer) {
    return switch (architecture.layers().get(layer).attention()) {
      case Attention.GroupedQuery a -> a;
    };
  }

  /** Shape of a layer's key cache and of its value cache. */
  public static long[] cacheShape(Architecture architecture, int layer, long capacity) {
    Attention.GroupedQuery a = attention(architecture, layer);
    return new long[] {1, a.keyValueHeads(), capacity, BlockBuilder.cacheHeadSize(a)};
  }

  /** Name of the input that takes a layer's cached keys. */
  public static String pastKey(int layer) {
    return "past_key_" + layer;
  }

  /** Name of the input that takes a layer's cached values. */
  public static String pastValue(int layer) {
    return "past_value_" + layer;
  }

  /** Name of the output that gives them back with the new tokens' keys. */
  public static String presentKey(int layer) {
    return "present_key_" + layer;
  }

  /** Name of the output that gives them back with the new tokens' values. */
  public static String presentValue(int layer) {
    return "present_value_" + layer;
  }
}

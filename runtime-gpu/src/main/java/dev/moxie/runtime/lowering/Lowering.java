package dev.moxie.runtime.lowering;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;

/**
 * The graph of a whole model. It takes and gives float32, whatever it computes in; S is the number
 * of new tokens, C the capacity of the key/value cache.
 *
 * <p>Rotary angles come in as cosines and sines [1, S, pairs] of the new tokens' positions; {@code
 * last_position} [1] and {@code total_length} [] are the index of the last new token and the number
 * of tokens so far with it, both int32. Caches [1, kvHeads, C, head] go in and come out, and may be
 * the same memory; keys and values of a compressed latent must be.
 *
 * <p>Weights are external data: the session option {@code
 * session.model_external_initializers_file_folder_path} must name the package's folder.
 */
public final class Lowering {
  private final MoxiePackage pack;
  private final Target target;
  private final boolean permuted;
  private final Rotary rotary;

  /**
   * Prepares the graph of a package.
   *
   * @throws UnsupportedException if the architecture has parts that the graph would leave out, or
   *     layers turn positions in different ways: the graph takes one set of angles
   */
  public Lowering(MoxiePackage pack, Target target) {
    this(pack, target, false);
  }

  private Lowering(MoxiePackage pack, Target target, boolean permuted) {
    this.pack = pack;
    this.target = target;
    this.permuted = permuted;
    this.rotary = Lowerable.require(pack.folder().toString(), pack.architecture());
  }

  /** The same with the experts in another order ({@link ExpertOrder}). */
  public static Lowering permuted(MoxiePackage pack, Target target) {
    return new Lowering(pack, target, true);
  }

  /** How positions turn queries and keys, in every layer. */
  public Rotary rotary() {
    return rotary;
  }

  /** {@code ids} int64 [S] to {@code logits} [S, V]. */
  public OnnxMl.ModelProto wholeModel() {
    Graph graph = new Graph("model");
    var blocks = new BlockBuilder(pack, target, permuted, graph);
    String x = blocks.embedding(graph.input("ids", Dtype.I64, "S"));
    BlockBuilder.Positions positions = positions(graph, blocks);
    for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
      Attended attended = attend(graph, blocks, layer, x, positions);
      x =
          switch (pack.architecture().layers().get(layer).feedForward()) {
            case FeedForward.Dense dense -> dense(blocks, layer, dense, attended);
            case FeedForward.MixtureOfExperts moe -> mixture(blocks, layer, moe, attended);
          };
    }
    output(graph, blocks, blocks.head(x), "logits", pack.architecture().vocabSize());
    return graph.model();
  }

  private static String dense(
      BlockBuilder blocks, int layer, FeedForward.Dense dense, Attended attended) {
    String stem = "layers." + layer + ".dense";
    return blocks.add(
        attended.residual(), blocks.network(stem, dense.activation(), attended.normed()));
  }

  private static String shared(
      BlockBuilder blocks, int layer, FeedForward.MixtureOfExperts moe, Attended attended) {
    return blocks.network("layers." + layer + ".shared", moe.activation(), attended.normed());
  }

  private static String mixture(
      BlockBuilder blocks, int layer, FeedForward.MixtureOfExperts moe, Attended attended) {
    String logits = blocks.router(layer, moe, attended.normed());
    String experts = blocks.fusedExperts(layer, moe, attended.normed(), logits);
    String block =
        moe.shared() == null ? experts : blocks.add(experts, shared(blocks, layer, moe, attended));
    return blocks.add(attended.residual(), block);
  }

  /** Residual stream after attention, and its norm, which the feed-forward part reads. */
  private record Attended(String residual, String normed) {}

  private Attended attend(
      Graph graph, BlockBuilder blocks, int layer, String x, BlockBuilder.Positions positions) {
    String prefix = "layers." + layer + ".";
    String attended =
        blocks.attention(
            layer,
            blocks.norm(x, prefix + "attention_norm.weight"),
            positions,
            cache(graph, layer));
    String residual = blocks.add(x, attended);
    return new Attended(residual, blocks.norm(residual, prefix + "feed_forward_norm.weight"));
  }

  private BlockBuilder.Positions positions(Graph graph, BlockBuilder blocks) {
    int pairs = rotary.dimensions() / 2;
    return new BlockBuilder.Positions(
        blocks.fromF32(graph.input("cos", Dtype.F32, 1, "S", pairs)),
        blocks.fromF32(graph.input("sin", Dtype.F32, 1, "S", pairs)),
        graph.input("last_position", Dtype.I32, 1),
        graph.input("total_length", Dtype.I32));
  }

  private BlockBuilder.Cache cache(Graph graph, int layer) {
    CacheLayout layout =
        CacheLayout.of(pack.architecture().layers().get(layer).attention(), target);
    Object[] shape = {1, layout.heads(), "C", layout.headSize()};
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

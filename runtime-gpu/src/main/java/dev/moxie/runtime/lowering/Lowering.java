package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;
import java.util.Objects;

/**
 * The graph of a whole model. It takes and gives float32, whatever it computes in; S is the number
 * of new tokens, C the capacity of the key/value cache.
 *
 * <p>Angles of each rotary embedding come in as cosines and sines [1, S, pairs] of the new tokens'
 * positions; {@code last_position} [1] and {@code total_length} [] are the index of the last new
 * token and the number of tokens so far with it, both int32. Caches [1, kvHeads, C, head] go in and
 * come out, and may be the same memory; keys and values of a compressed latent must be.
 *
 * <p>Weights are external data: the session option {@code
 * session.model_external_initializers_file_folder_path} must name the package's folder. Where the
 * target {@link Target#binds} matrices, these are inputs of their canonical names and shapes, a
 * stack of gate rows then up rows with these rows alternating.
 */
public final class Lowering {
  private final MoxiePackage pack;
  private final Target target;
  private final boolean permuted;

  /** Prepares the graph of a package. */
  public Lowering(MoxiePackage pack, Target target) {
    this(pack, target, false);
  }

  private Lowering(MoxiePackage pack, Target target, boolean permuted) {
    this.pack = pack;
    this.target = target;
    this.permuted = permuted;
  }

  /** The same with the experts in another order ({@link ExpertOrder}). */
  public static Lowering permuted(MoxiePackage pack, Target target) {
    return new Lowering(pack, target, true);
  }

  /** How positions turn queries and keys: every way in which layers do it. */
  public List<Rotary> rotaries() {
    return pack.architecture().blocks().stream()
        .map(run -> run.attention().rotary())
        .filter(Objects::nonNull)
        .distinct()
        .toList();
  }

  /**
   * {@code ids} int64 [S] to {@code logits} [R, V], those after the tokens whose indices among the
   * new ones are {@code rows}, int64 [R].
   *
   * @throws UnsupportedException if an operator of the target lacks what the model needs
   */
  public OnnxMl.ModelProto wholeModel() {
    Graph graph = new Graph("model");
    Weights weights = new PackageWeights(pack, target, graph);
    if (permuted) {
      weights = new PermutedWeights(pack.architecture(), weights, graph);
    }
    var reader = new Onnx(graph, target, weights, rotaries());
    var forward = new Forward<>(pack.architecture(), reader);
    Onnx.Value logits = forward.head(reader.wanted(forward.hidden()));
    graph.standard(
        "Cast", List.of(logits.name()), List.of("logits"), attribute("to", Graph.type(Dtype.F32)));
    graph.output("logits", Dtype.F32, "R", logits.width());
    return graph.model();
  }

  /** Name of the input that takes the cosines of a rotary embedding. */
  public static String cos(int rotary) {
    return "cos_" + rotary;
  }

  /** Name of the input that takes its sines. */
  public static String sin(int rotary) {
    return "sin_" + rotary;
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

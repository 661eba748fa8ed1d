package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import java.util.List;
import java.util.Objects;

/**
 * The graph of a whole model, or of a part of it. It takes and gives float32, whatever it computes
 * in; S is the number of new tokens, C the capacity of the key/value cache.
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
  /** Name of the input that takes hidden states [S, H], where a graph begins with them. */
  public static final String HIDDEN = "hidden";

  /** Name of the input that takes the experts of a layer; where negative, its own choice. */
  public static final String EXPERTS = "experts";

  /** Name of the output that gives the scores of all experts of a layer. */
  public static final String SCORES = "router.scores";

  /** Name of the output that gives what experts are chosen by, where that is not their scores. */
  public static final String CHOICE = "router.choice";

  /** Name of the output that gives what groups of experts are chosen by. */
  public static final String GROUPS = "router.groups";

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
        .map(run -> run.attention() instanceof Attention.Softmax a ? a.rotary() : null)
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
    Onnx reader = reader(graph);
    var forward = new Forward<>(pack.architecture(), reader);
    return result(graph, "logits", "R", forward.head(reader.wanted(forward.hidden())));
  }

  /** {@code ids} int64 [S] to {@value #HIDDEN} states [S, H]. */
  public OnnxMl.ModelProto embedding() {
    Graph graph = new Graph("embedding");
    Onnx.Value embedded = new Forward<>(pack.architecture(), reader(graph)).embedding();
    return result(graph, HIDDEN, "S", embedded);
  }

  /** {@value #HIDDEN} states [S, H] to {@code logits} [S, V]. */
  public OnnxMl.ModelProto head() {
    Graph graph = new Graph("head");
    var forward = new Forward<>(pack.architecture(), reader(graph));
    return result(graph, "logits", "S", forward.head(hidden(graph)));
  }

  /**
   * One layer: {@value #HIDDEN} states [S, H] to every {@link Step} after them, by its id; scores
   * of all experts and what experts and groups are chosen by are {@value #SCORES}, {@value #CHOICE}
   * and {@value #GROUPS}, those of them that there are. {@value #EXPERTS} int64 [S · k] takes the
   * experts of each token, or negative numbers where the layer is to choose.
   *
   * @throws UnsupportedException if an operator of the target lacks what the layer needs
   */
  public OnnxMl.ModelProto layer(int layer) {
    Graph graph = new Graph("layer_" + layer);
    var reader = reader(graph, new LayerNotes(graph));
    new Forward<>(pack.architecture(), reader).layer(layer, hidden(graph));
    return graph.model();
  }

  private Onnx reader(Graph graph) {
    return reader(graph, Notes.NONE);
  }

  private Onnx reader(Graph graph, Notes notes) {
    Weights weights = new PackageWeights(pack, target, graph);
    if (permuted) {
      weights = new PermutedWeights(pack.architecture(), weights, graph);
    }
    var reader = new Onnx(graph, target, weights, rotaries(), notes);
    reader.requireOneAttention(pack.architecture());
    return reader;
  }

  private Onnx.Value hidden(Graph graph) {
    int width = pack.architecture().hiddenSize();
    String input = graph.input(HIDDEN, Dtype.F32, "S", width);
    return Onnx.Value.of(graph.cast(input, Dtype.F32, target.compute()), width);
  }

  private static OnnxMl.ModelProto result(Graph graph, String name, String rows, Onnx.Value value) {
    graph.standard(
        "Cast", List.of(value.name()), List.of(name), attribute("to", Graph.type(Dtype.F32)));
    graph.output(name, Dtype.F32, rows, value.width());
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

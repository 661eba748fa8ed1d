package dev.moxie.runtime.execution;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtSession;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One small graph per layer up to its router, one per expert, and Java between them: it routes,
 * gathers each expert's tokens, and adds the outputs in the order of expert ids. An expert is
 * loaded when a token first needs it.
 */
public final class ScheduledModel extends CachedModel {
  private final Lowering lowering;
  private final OrtSession embedding;
  private final OrtSession head;
  private final List<OrtSession> layers = new ArrayList<>();
  private final Map<ExpertKey, OrtSession> experts = new HashMap<>();
  private final Map<Integer, float[]> biases = new HashMap<>();

  private record ExpertKey(int layer, int expert) {}

  /**
   * What one layer did with S tokens.
   *
   * @param output residual stream after the layer, [S · H]
   * @param mixture null for a layer without experts
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  public record LayerResult(float[] output, @Nullable Mixture mixture) {}

  /**
   * What the experts of one layer did with S tokens.
   *
   * @param normed what router and experts read, [S · H]
   * @param routerLogits [S · E]
   * @param decisions one per token
   * @param expertsOutput weighted sum over the chosen experts, [S · H]
   * @param output that and the shared experts' output, [S · H]
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  public record Mixture(
      float[] normed,
      float[] routerLogits,
      List<Router.Decision> decisions,
      float[] expertsOutput,
      float[] output) {}

  /** Opens a package on a device; weights are mapped, experts not yet. */
  public ScheduledModel(MoxiePackage pack, Device device) {
    this(pack, device, device.target());
  }

  ScheduledModel(MoxiePackage pack, Device device, Target target) {
    super(pack, device, target);
    lowering = new Lowering(pack, target);
    embedding = session(lowering.embedding());
    head = session(lowering.head());
    for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
      layers.add(session(lowering.layer(layer)));
    }
  }

  @Override
  float[] forward(long[] ids, Step step) {
    return head(throughLayers(ids, step, (layer, result) -> {}));
  }

  /** Is shown what each layer did, first layer first. */
  @FunctionalInterface
  public interface LayerObserver {
    void accept(int layer, LayerResult result);
  }

  /** As {@link #append}, but shows what the layers do instead of computing logits. */
  public void observe(long[] ids, LayerObserver observer) {
    requireTokens(ids);
    try (Step step = advance(ids.length)) {
      throughLayers(ids, step, observer);
    }
  }

  private float[] throughLayers(long[] ids, Step step, LayerObserver observer) {
    float[] hidden = embed(ids);
    for (int layer = 0; layer < layers.size(); layer++) {
      LayerResult result = runLayer(layer, hidden, step, null);
      observer.accept(layer, result);
      hidden = result.output();
    }
    return hidden;
  }

  /** Hidden states of tokens, [S · H]. */
  public float[] embed(long[] ids) {
    try (OnnxTensor tokens = Engine.longs(ids)) {
      return run(embedding, Map.of("ids", tokens), "hidden", ids.length, hiddenSize());
    }
  }

  /** Logits [S · V] from hidden states [S · H]. */
  public float[] head(float[] hidden) {
    try (OnnxTensor x = tensor(hidden, hiddenSize())) {
      return run(head, Map.of("hidden", x), "logits", hidden.length / hiddenSize(), vocabSize());
    }
  }

  /**
   * Runs one layer alone on the first tokens of a sequence.
   *
   * @param hidden its input, [S · H]
   * @param experts the experts of each token where the caller decides them, else null
   */
  public LayerResult layerAlone(int layer, float[] hidden, @Nullable List<int[]> experts) {
    int tokens = hidden.length / hiddenSize();
    begin(tokens);
    try (Step step = advance(tokens)) {
      return runLayer(layer, hidden, step, experts);
    }
  }

  private LayerResult runLayer(
      int layer, float[] hidden, Step step, @Nullable List<int[]> replayed) {
    return switch (pack.architecture().layers().get(layer).feedForward()) {
      case FeedForward.Dense dense -> {
        var outputs = new Outputs(hidden.length / hiddenSize());
        outputs.add("output", hiddenSize());
        runSession(layer, hidden, step, outputs);
        yield new LayerResult(toArray(outputs.get("output")), null);
      }
      case FeedForward.MixtureOfExperts moe -> runMixture(layer, moe, hidden, step, replayed);
    };
  }

  private LayerResult runMixture(
      int layer,
      FeedForward.MixtureOfExperts moe,
      float[] hidden,
      Step step,
      @Nullable List<int[]> replayed) {
    var outputs = new Outputs(hidden.length / hiddenSize());
    outputs.add("residual", hiddenSize());
    outputs.add("normed", hiddenSize());
    outputs.add("router_logits", moe.experts());
    if (moe.shared() != null) {
      outputs.add("shared", hiddenSize());
    }
    runSession(layer, hidden, step, outputs);
    FloatBuffer normed = outputs.get("normed");
    FloatBuffer logits = outputs.get("router_logits");
    List<Router.Decision> decisions = decide(layer, moe, logits, outputs.rows, replayed);
    float[] expertsOutput = runExperts(layer, moe, normed, decisions);
    float[] block =
        moe.shared() == null ? expertsOutput : sum(expertsOutput, outputs.get("shared"));
    return new LayerResult(
        sum(block, outputs.get("residual")),
        new Mixture(toArray(normed), toArray(logits), decisions, expertsOutput, block));
  }

  /** Named float32 matrices of so many rows, for a session to write. */
  private static final class Outputs implements AutoCloseable {
    final int rows;
    private final Map<String, FloatBuffer> buffers = new HashMap<>();
    private final Map<String, OnnxTensor> tensors = new HashMap<>();

    Outputs(int rows) {
      this.rows = rows;
    }

    void add(String name, int columns) {
      FloatBuffer buffer = FloatTensors.allocate(rows, columns);
      buffers.put(name, buffer);
      tensors.put(name, Engine.wrap(buffer, rows, columns));
    }

    FloatBuffer get(String name) {
      return java.util.Objects.requireNonNull(buffers.get(name));
    }

    @Override
    public void close() {
      tensors.values().forEach(OnnxTensor::close);
    }
  }

  private void runSession(int layer, float[] hidden, Step step, Outputs results) {
    try (OnnxTensor x = tensor(hidden, hiddenSize());
        results) {
      Map<String, OnnxTensor> inputs = new HashMap<>(step.inputs());
      inputs.put("hidden", x);
      Map<String, OnnxTensor> outputs = new HashMap<>(results.tensors);
      cache().bind(layer, inputs, outputs);
      Engine.run(layers.get(layer), inputs, outputs);
    }
  }

  private static float[] sum(float[] a, FloatBuffer b) {
    float[] sum = new float[a.length];
    for (int i = 0; i < sum.length; i++) {
      sum[i] = a[i] + b.get(i);
    }
    return sum;
  }

  /** The stored bias of each expert of a layer's router; empty where routing has none. */
  public float[] routerBias(int layer, FeedForward.MixtureOfExperts moe) {
    return biases.computeIfAbsent(layer, l -> RouterBias.read(pack, l, moe));
  }

  private List<Router.Decision> decide(
      int layer,
      FeedForward.MixtureOfExperts moe,
      FloatBuffer logits,
      int tokens,
      @Nullable List<int[]> replayed) {
    List<Router.Decision> decisions = new ArrayList<>();
    float[] row = new float[moe.experts()];
    float[] bias = routerBias(layer, moe);
    for (int t = 0; t < tokens; t++) {
      logits.get(t * row.length, row);
      if (replayed == null) {
        decisions.add(Router.route(moe.routing(), bias, row));
      } else {
        int[] experts = replayed.get(t);
        decisions.add(
            new Router.Decision(experts, Router.weights(moe.routing(), bias, row, experts)));
      }
    }
    return decisions;
  }

  private float[] runExperts(
      int layer,
      FeedForward.MixtureOfExperts moe,
      FloatBuffer normed,
      List<Router.Decision> decisions) {
    int width = hiddenSize();
    float[] sum = new float[decisions.size() * width];
    for (int expert = 0; expert < moe.experts(); expert++) {
      List<Integer> tokens = new ArrayList<>();
      List<Float> weights = new ArrayList<>();
      for (int t = 0; t < decisions.size(); t++) {
        Router.Decision decision = decisions.get(t);
        for (int i = 0; i < decision.experts().length; i++) {
          if (decision.experts()[i] == expert) {
            tokens.add(t);
            weights.add(decision.weights()[i]);
          }
        }
      }
      if (!tokens.isEmpty()) {
        addExpert(expertSession(layer, moe, expert), normed, tokens, weights, sum);
      }
    }
    return sum;
  }

  private void addExpert(
      OrtSession session,
      FloatBuffer normed,
      List<Integer> tokens,
      List<Float> weights,
      float[] sum) {
    int width = hiddenSize();
    FloatBuffer x = FloatTensors.allocate(tokens.size(), width);
    FloatBuffer w = FloatTensors.allocate(tokens.size(), 1);
    for (int i = 0; i < tokens.size(); i++) {
      x.put(i * width, normed, tokens.get(i) * width, width);
      w.put(i, weights.get(i));
    }
    try (OnnxTensor in = Engine.wrap(x, tokens.size(), width);
        OnnxTensor factors = Engine.wrap(w, tokens.size(), 1)) {
      float[] y = run(session, Map.of("x", in, "weights", factors), "y", tokens.size(), width);
      for (int i = 0; i < tokens.size(); i++) {
        for (int h = 0; h < width; h++) {
          sum[tokens.get(i) * width + h] += y[i * width + h];
        }
      }
    }
  }

  private OrtSession expertSession(int layer, FeedForward.MixtureOfExperts moe, int expert) {
    return experts.computeIfAbsent(
        new ExpertKey(layer, expert), key -> session(lowering.expert(layer, moe, expert)));
  }

  private static float[] run(
      OrtSession session, Map<String, OnnxTensor> inputs, String output, int rows, int columns) {
    FloatBuffer result = FloatTensors.allocate(rows, columns);
    try (OnnxTensor out = Engine.wrap(result, rows, columns)) {
      Engine.run(session, inputs, Map.of(output, out));
    }
    return toArray(result);
  }

  private static OnnxTensor tensor(float[] values, int columns) {
    FloatBuffer buffer = FloatTensors.allocate(values.length);
    buffer.put(values).flip();
    return Engine.wrap(buffer, values.length / columns, columns);
  }

  private static float[] toArray(FloatBuffer buffer) {
    float[] copy = new float[buffer.limit()];
    buffer.get(0, copy);
    return copy;
  }

  private int hiddenSize() {
    return pack.architecture().hiddenSize();
  }

  private int vocabSize() {
    return pack.architecture().vocabSize();
  }

  @Override
  public void close() {
    super.close();
    experts.values().forEach(Engine::close);
    layers.forEach(Engine::close);
    Engine.close(head);
    Engine.close(embedding);
  }
}

package dev.moxie.runtime.execution;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtSession;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Lowering;
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

  private record ExpertKey(int layer, int expert) {}

  /**
   * What one layer did with S tokens.
   *
   * @param normed what router and experts read, [S · H]
   * @param routerLogits [S · E]
   * @param decisions one per token
   * @param expertsOutput weighted sum over the chosen experts, [S · H]
   * @param output residual stream after the layer, [S · H]
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  public record LayerResult(
      float[] normed,
      float[] routerLogits,
      List<Router.Decision> decisions,
      float[] expertsOutput,
      float[] output) {}

  /** Opens a package on a device; weights are mapped, experts not yet. */
  public ScheduledModel(MoxiePackage pack, Device device) {
    super(pack, device);
    lowering = new Lowering(pack, device.target());
    embedding = session(lowering.embedding());
    head = session(lowering.head());
    for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
      layers.add(session(lowering.layer(layer)));
    }
  }

  @Override
  float[] forward(long[] ids, Step step) {
    float[] hidden = embed(ids);
    for (int layer = 0; layer < layers.size(); layer++) {
      hidden = runLayer(layer, hidden, step, null).output();
    }
    return head(hidden);
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
    FeedForward.MixtureOfExperts moe = moe(layer);
    int tokens = hidden.length / hiddenSize();
    FloatBuffer residual = FloatTensors.allocate(tokens, hiddenSize());
    FloatBuffer normed = FloatTensors.allocate(tokens, hiddenSize());
    FloatBuffer logits = FloatTensors.allocate(tokens, moe.experts());
    try (OnnxTensor x = tensor(hidden, hiddenSize());
        OnnxTensor residualOut = Engine.wrap(residual, tokens, hiddenSize());
        OnnxTensor normedOut = Engine.wrap(normed, tokens, hiddenSize());
        OnnxTensor logitsOut = Engine.wrap(logits, tokens, moe.experts())) {
      Map<String, OnnxTensor> inputs = new HashMap<>(step.inputs());
      inputs.put("hidden", x);
      Map<String, OnnxTensor> outputs = new HashMap<>();
      outputs.put("residual", residualOut);
      outputs.put("normed", normedOut);
      outputs.put("router_logits", logitsOut);
      cache().bind(layer, inputs, outputs);
      Engine.run(layers.get(layer), inputs, outputs);
    }
    List<Router.Decision> decisions = decide(moe, logits, tokens, replayed);
    float[] expertsOutput = runExperts(layer, moe, normed, decisions);
    float[] output = toArray(residual);
    for (int i = 0; i < output.length; i++) {
      output[i] += expertsOutput[i];
    }
    return new LayerResult(toArray(normed), toArray(logits), decisions, expertsOutput, output);
  }

  private static List<Router.Decision> decide(
      FeedForward.MixtureOfExperts moe,
      FloatBuffer logits,
      int tokens,
      @Nullable List<int[]> replayed) {
    List<Router.Decision> decisions = new ArrayList<>();
    float[] row = new float[moe.experts()];
    for (int t = 0; t < tokens; t++) {
      logits.get(t * row.length, row);
      if (replayed == null) {
        decisions.add(Router.route(moe.routing(), row));
      } else {
        int[] experts = replayed.get(t);
        decisions.add(new Router.Decision(experts, Router.weights(moe.routing(), row, experts)));
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
        addExpert(expertSession(layer, expert), normed, tokens, weights, sum);
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

  private OrtSession expertSession(int layer, int expert) {
    return experts.computeIfAbsent(
        new ExpertKey(layer, expert), key -> session(lowering.expert(layer, expert)));
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

  private FeedForward.MixtureOfExperts moe(int layer) {
    return switch (pack.architecture().layers().get(layer).feedForward()) {
      case FeedForward.MixtureOfExperts moe -> moe;
    };
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

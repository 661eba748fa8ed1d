package dev.moxie.runtime.execution;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.plain.PackageWeights;
import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Past;
import dev.moxie.runtime.plain.PermutedWeights;
import dev.moxie.runtime.plain.Program;
import dev.moxie.runtime.plain.Value;
import dev.moxie.runtime.plain.Weights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass in Java, on the weights where they lie. It shows what each layer does, and takes
 * a layer alone.
 */
public final class PlainModel extends CachedModel {
  /** Tokens that pass through the layers together; more would only take more memory. */
  private static final int TOGETHER = 128;

  private final Weights weights;
  private final Pass pass = new Pass();
  private final Part embedding;
  private final Part head;
  private final List<Part> layers = new ArrayList<>();
  private final float[] last;
  private Past past = new Past(0);

  /** A part of the forward pass, read. */
  private record Part(Program program, Value input, Value output) {}

  /**
   * Opens a package: its weights are mapped and checked, experts when a token first needs them.
   *
   * @throws UnsupportedException if the package's numbers are none that can be computed with
   */
  public static PlainModel open(MoxiePackage pack, LoweringProof proof) {
    return opening(pack, false).proven(new PlainModel(pack, new PackageWeights(pack)), proof);
  }

  private PlainModel(MoxiePackage pack, Weights weights) {
    super(pack);
    this.weights = weights;
    last = new float[architecture().vocabSize()];
    embedding = part((forward, nothing) -> forward.embedding());
    head = part(Forward::head);
    for (int i = 0; i < architecture().layers().size(); i++) {
      int layer = i;
      layers.add(part((forward, h) -> forward.layer(layer, h)));
    }
  }

  private Part part(BiFunction<Forward<Value>, Value, Value> reading) {
    var program = new Program(weights, pass);
    Value input = program.input(architecture().hiddenSize());
    return new Part(program, input, reading.apply(new Forward<>(architecture(), program), input));
  }

  /** The same with the experts in another order ({@link ExpertOrder}). */
  static PlainModel openPermuted(MoxiePackage pack, LoweringProof proof) {
    var weights = new PermutedWeights(pack.architecture(), new PackageWeights(pack));
    return opening(pack, true).proven(new PlainModel(pack, weights), proof);
  }

  private static Opening opening(MoxiePackage pack, boolean permuted) {
    return new Opening(pack, Execution.PLAIN, Device.CPU, Target.CPU, permuted);
  }

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
   * @param scores of the experts, [S · E]
   * @param choice what experts were chosen by, before any mask, [S · E]
   * @param groups what groups were chosen by, [S · count]; null without groups
   * @param decisions one per token
   * @param expertsOutput weighted sum over the chosen experts, [S · H]
   * @param output that and the shared experts' output, [S · H]
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  public record Mixture(
      float[] normed,
      float[] routerLogits,
      float[] scores,
      float[] choice,
      float @Nullable [] groups,
      List<Decision> decisions,
      float[] expertsOutput,
      float[] output) {}

  /**
   * The experts of one token, best first, and their weights.
   *
   * @param experts [k]
   * @param weights [k]
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  public record Decision(int[] experts, float[] weights) {}

  @Override
  void allocate(int tokens) {
    past = new Past(tokens);
  }

  @Override
  float[] forward(long[] ids, int first) {
    int vocabulary = architecture().vocabSize();
    float[] logits = new float[Math.multiplyExact(ids.length, vocabulary)];
    for (int from = 0; from < ids.length; from += TOGETHER) {
      throughLayers(some(ids, from), first + from, layer -> {});
      float[] some = head();
      System.arraycopy(some, 0, logits, from * vocabulary, some.length);
    }
    return logits;
  }

  /** Computes logits of the last token alone, and allocates no activation for one token. */
  @Override
  public float[] next(long[] ids) {
    int first = advance(ids);
    for (int from = 0; from < ids.length; from += TOGETHER) {
      throughLayers(some(ids, from), first + from, layer -> {});
    }
    pass.keepLast(head.input());
    head.program().run();
    pass.copy(head.output(), last);
    return last;
  }

  /** As many tokens as pass together, from one on. */
  private static long[] some(long[] ids, int from) {
    return ids.length <= TOGETHER
        ? ids
        : Arrays.copyOfRange(ids, from, Math.min(from + TOGETHER, ids.length));
  }

  /** Is shown what each layer did, first layer first. */
  @FunctionalInterface
  public interface LayerObserver {
    void accept(int layer, LayerResult result);
  }

  /** As {@link #append}, but shows what the layers do instead of computing logits. */
  public void observe(long[] ids, LayerObserver observer) {
    throughLayers(ids, advance(ids), layer -> observer.accept(layer, result(layer)));
  }

  /**
   * Leaves what the last layer makes of tokens as the input of the head.
   *
   * @param computed is told of each layer as soon as it is
   */
  private void throughLayers(long[] ids, int first, IntConsumer computed) {
    begin(ids, past, first, null);
    embedding.program().run();
    Value hidden = embedding.output();
    for (int i = 0; i < layers.size(); i++) {
      run(layers.get(i), hidden);
      computed.accept(i);
      hidden = layers.get(i).output();
    }
    pass.copy(hidden, head.input());
  }

  private void run(Part part, Value input) {
    pass.copy(input, part.input());
    part.program().run();
  }

  private void begin(long[] ids, Past of, int first, @Nullable List<int[]> experts) {
    pass.begin(ids.length, ids, of, first, experts);
  }

  private float[] head() {
    head.program().run();
    return pass.copy(head.output());
  }

  /** Hidden states of tokens, [S · H]. */
  public float[] embed(long[] ids) {
    begin(ids, past, 0, null);
    embedding.program().run();
    return pass.copy(embedding.output());
  }

  /** Logits [S · V] from hidden states [S · H]. */
  public float[] head(float[] hidden) {
    alone(head, hidden, null);
    return pass.copy(head.output());
  }

  /**
   * Runs one layer alone on the first tokens of a sequence.
   *
   * @param hidden its input, [S · H]
   * @param experts the experts of each token where the caller decides them, else null
   */
  public LayerResult layerAlone(int layer, float[] hidden, @Nullable List<int[]> experts) {
    alone(layers.get(layer), hidden, experts);
    return result(layer);
  }

  /** Runs a part for tokens before which there are none. */
  private void alone(Part part, float[] hidden, @Nullable List<int[]> experts) {
    int tokens = hidden.length / architecture().hiddenSize();
    pass.begin(tokens, new long[0], new Past(tokens), 0, experts);
    pass.set(part.input(), hidden);
    part.program().run();
  }

  private LayerResult result(int layer) {
    Program program = layers.get(layer).program();
    float[] output = pass.copy(layers.get(layer).output());
    return switch (architecture().layers().get(layer).feedForward()) {
      case FeedForward.Dense dense -> new LayerResult(output, null);
      case FeedForward.MixtureOfExperts moe ->
          new LayerResult(
              output,
              new Mixture(
                  pass.copy(program.step(Step.MOE_INPUT)),
                  pass.copy(program.step(Step.ROUTER_LOGITS)),
                  pass.copy(program.scores()),
                  pass.copy(program.choice()),
                  program.groups() == null ? null : pass.copy(program.groups()),
                  decisions(program),
                  pass.copy(program.step(Step.EXPERTS_OUTPUT)),
                  pass.copy(program.step(Step.MOE_OUTPUT))));
    };
  }

  private List<Decision> decisions(Program program) {
    Value chosen = program.step(Step.ROUTER_EXPERTS);
    float[] ids = pass.copy(chosen);
    float[] weights = pass.copy(program.step(Step.ROUTER_WEIGHTS));
    int k = chosen.columns();
    List<Decision> decisions = new ArrayList<>();
    for (int from = 0; from < ids.length; from += k) {
      int[] experts = new int[k];
      for (int i = 0; i < k; i++) {
        experts[i] = (int) ids[from + i];
      }
      decisions.add(new Decision(experts, Arrays.copyOfRange(weights, from, from + k)));
    }
    return decisions;
  }

  /** The stored bias of each expert's score in a layer; empty where routing has none. */
  public float[] routerBias(int layer, FeedForward.MixtureOfExperts moe) {
    return moe.routing().hasBiasOfScores()
        ? weights.vector(Forward.routerBias(layer, moe))
        : new float[0];
  }

  /** Bytes of the matrices that tokens were multiplied with so far: {@link Pass#weightBytes}. */
  public long weightBytes() {
    return pass.weightBytes();
  }

  private Architecture architecture() {
    return pack.architecture();
  }

  @Override
  public void close() {}
}

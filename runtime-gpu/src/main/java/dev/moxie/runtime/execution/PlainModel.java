package dev.moxie.runtime.execution;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.plain.Activation;
import dev.moxie.runtime.plain.PackageWeights;
import dev.moxie.runtime.plain.Past;
import dev.moxie.runtime.plain.PermutedWeights;
import dev.moxie.runtime.plain.Plain;
import dev.moxie.runtime.plain.Weights;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass in Java, on the weights where they lie. It shows what each layer does, and takes
 * a layer alone.
 */
public final class PlainModel extends CachedModel {
  private final Weights weights;
  private Past past = new Past();

  /** Opens a package: its weights are mapped and checked, experts when a token first needs them. */
  public PlainModel(MoxiePackage pack) {
    this(pack, new PackageWeights(pack));
  }

  private PlainModel(MoxiePackage pack, Weights weights) {
    super(pack);
    this.weights = weights;
  }

  /** The same with the experts in another order ({@link ExpertOrder}). */
  static PlainModel permuted(MoxiePackage pack) {
    return new PlainModel(pack, new PermutedWeights(pack.architecture(), new PackageWeights(pack)));
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
    past = new Past();
  }

  @Override
  float[] forward(long[] ids, int first) {
    return head(throughLayers(ids, first, (layer, result) -> {}));
  }

  /** Is shown what each layer did, first layer first. */
  @FunctionalInterface
  public interface LayerObserver {
    void accept(int layer, LayerResult result);
  }

  /** As {@link #append}, but shows what the layers do instead of computing logits. */
  public void observe(long[] ids, LayerObserver observer) {
    throughLayers(ids, advance(ids), observer);
  }

  private float[] throughLayers(long[] ids, int first, LayerObserver observer) {
    float[] hidden = embed(ids);
    for (int layer = 0; layer < architecture().layers().size(); layer++) {
      var reader = new Plain(weights, past, ids, first, null);
      LayerResult result = layer(layer, hidden, reader);
      observer.accept(layer, result);
      hidden = result.output();
    }
    return hidden;
  }

  /** Hidden states of tokens, [S · H]. */
  public float[] embed(long[] ids) {
    return forward(new Plain(weights, past, ids, 0, null)).embedding().values();
  }

  /** Logits [S · V] from hidden states [S · H]. */
  public float[] head(float[] hidden) {
    return forward(alone(null)).head(activation(hidden)).values();
  }

  /**
   * Runs one layer alone on the first tokens of a sequence.
   *
   * @param hidden its input, [S · H]
   * @param experts the experts of each token where the caller decides them, else null
   */
  public LayerResult layerAlone(int layer, float[] hidden, @Nullable List<int[]> experts) {
    return layer(layer, hidden, alone(experts));
  }

  private LayerResult layer(int layer, float[] hidden, Plain reader) {
    float[] output = forward(reader).layer(layer, activation(hidden)).values();
    return switch (architecture().layers().get(layer).feedForward()) {
      case FeedForward.Dense dense -> new LayerResult(output, null);
      case FeedForward.MixtureOfExperts moe ->
          new LayerResult(
              output,
              new Mixture(
                  reader.step(Step.MOE_INPUT).values(),
                  reader.step(Step.ROUTER_LOGITS).values(),
                  reader.scores().values(),
                  reader.choice().values(),
                  reader.groups() == null ? null : reader.groups().values(),
                  decisions(reader),
                  reader.step(Step.EXPERTS_OUTPUT).values(),
                  reader.step(Step.MOE_OUTPUT).values()));
    };
  }

  private static List<Decision> decisions(Plain reader) {
    Activation chosen = reader.step(Step.ROUTER_EXPERTS);
    List<Decision> decisions = new ArrayList<>();
    for (int t = 0; t < chosen.rows(); t++) {
      int[] experts = new int[chosen.columns()];
      for (int i = 0; i < experts.length; i++) {
        experts[i] = (int) chosen.at(t, i);
      }
      decisions.add(new Decision(experts, reader.step(Step.ROUTER_WEIGHTS).row(t)));
    }
    return decisions;
  }

  /** The stored bias of each expert's score in a layer; empty where routing has none. */
  public float[] routerBias(int layer, FeedForward.MixtureOfExperts moe) {
    return moe.routing().hasBiasOfScores()
        ? weights.vector(Forward.routerBias(layer, moe))
        : new float[0];
  }

  /** A reader for tokens before which there are none. */
  private Plain alone(@Nullable List<int[]> experts) {
    return new Plain(weights, new Past(), new long[0], 0, experts);
  }

  private Forward<Activation> forward(Plain reader) {
    return new Forward<>(architecture(), reader);
  }

  private Activation activation(float[] hidden) {
    return Activation.of(hidden, architecture().hiddenSize());
  }

  private Architecture architecture() {
    return pack.architecture();
  }

  @Override
  public void close() {}
}

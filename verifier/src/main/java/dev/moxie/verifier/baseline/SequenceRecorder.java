package dev.moxie.verifier.baseline;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.RoutingOracle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Runs a package on sequences and keeps of each what a baseline holds. */
final class SequenceRecorder implements AutoCloseable {
  private final MoxiePackage pack;
  private final Model model;

  /** Opens a package on the CPU. */
  SequenceRecorder(MoxiePackage pack, Execution execution, LoweringProof proof) {
    this.pack = pack;
    this.model = execution.open(pack, Device.CPU, proof);
  }

  /**
   * One layer as it was computed, and what is kept of it.
   *
   * @param choice what experts are chosen by, [T · E]; null for a layer without experts
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  record LayerRun(Layers.Result result, float @Nullable [] choice, Baseline.Layer kept) {}

  /** Is shown each matrix as soon as it is there, with what is kept of it. */
  interface Watcher {
    /** One layer, if the execution shows layers. */
    default void layer(int layer, LayerRun run) {}

    /**
     * The logits, [T · V].
     *
     * @param layersSeen whether all layers were shown before
     */
    default void logits(float[] logits, Baseline.Logits kept, boolean layersSeen) {}
  }

  /** Sees nothing. */
  static final Watcher UNWATCHED = new Watcher() {};

  /**
   * Runs one sequence.
   *
   * @param greedyTokens tokens to continue it by
   */
  Baseline.Sequence record(long[] ids, int greedyTokens, Watcher watcher) {
    List<Baseline.Layer> layers = new ArrayList<>();
    float[] logits = forward(ids, layers, watcher);
    Baseline.Logits kept = Summaries.logits(logits, pack.architecture().vocabSize());
    watcher.logits(logits, kept, !layers.isEmpty());
    List<Integer> greedy =
        greedyTokens == 0
            ? List.of()
            : Generator.greedy(model, ids, greedyTokens, EndTokens.of(pack).ids()).stream()
                .map(Math::toIntExact)
                .toList();
    return new Baseline.Sequence(
        Arrays.stream(ids).mapToObj(Math::toIntExact).toList(), layers, kept, greedy);
  }

  private float[] forward(long[] ids, List<Baseline.Layer> layers, Watcher watcher) {
    if (!(model instanceof PlainModel plain)) {
      model.begin(ids.length);
      return model.append(ids);
    }
    float[] hidden = plain.embed(ids);
    List<Architecture.Blocks> blocks = pack.architecture().layers();
    for (int layer = 0; layer < blocks.size(); layer++) {
      Layers.Result result = plain.layerAlone(layer, ids, hidden, null);
      hidden = result.output();
      Baseline.Summary output = Summaries.of(hidden, pack.architecture().streamWidth());
      LayerRun run =
          result.mixture() != null
                  && blocks.get(layer).feedForward() instanceof FeedForward.MixtureOfExperts moe
              ? routed(moe, plain.routerBias(layer, moe), result, result.mixture(), output)
              : new LayerRun(result, null, new Baseline.Layer(null, output));
      layers.add(run.kept());
      watcher.layer(layer, run);
    }
    return plain.head(hidden);
  }

  private static LayerRun routed(
      FeedForward.MixtureOfExperts moe,
      float[] bias,
      Layers.Result result,
      Layers.Mixture mixture,
      Baseline.Summary output) {
    double[] widened = new double[bias.length];
    Arrays.setAll(widened, e -> bias[e]);
    List<int[]> experts = mixture.decisions().stream().map(Layers.Decision::experts).toList();
    RoutingOracle.Routed routed = route(moe, widened, mixture.routerLogits(), experts);
    float[] choice = routed.choice().toFloats();
    return new LayerRun(
        result, choice, new Baseline.Layer(routing(moe, routed, choice, experts), output));
  }

  /**
   * What a router's equation makes of an implementation's logits, [T · E].
   *
   * @param experts that it chose, which tell what a table says
   */
  static RoutingOracle.Routed route(
      FeedForward.MixtureOfExperts moe, double[] bias, float[] logits, List<int[]> experts) {
    return new RoutingOracle(moe.routing(), bias, Precision.F32)
        .route(Estimate.exact(logits, moe.logits()), moe.routing().assigned() ? experts : null);
  }

  /** What is kept of it, and of the experts that the implementation chose, [k] for each token. */
  static Baseline.Routing routing(
      FeedForward.MixtureOfExperts moe,
      RoutingOracle.Routed routed,
      float[] choice,
      List<int[]> experts) {
    return new Baseline.Routing(
        experts.stream().map(chosen -> Arrays.stream(chosen).sorted().boxed().toList()).toList(),
        smallestMargin(new Selection(routed), experts.size()),
        Summaries.of(choice, moe.experts()));
  }

  private static Baseline.@Nullable Margin smallestMargin(Selection selection, int tokens) {
    int closest = 0;
    for (int t = 1; t < tokens; t++) {
      if (selection.margin(t) < selection.margin(closest)) {
        closest = t;
      }
    }
    double margin = selection.margin(closest);
    return Double.isInfinite(margin) ? null : new Baseline.Margin(closest, new HexDouble(margin));
  }

  @Override
  public void close() {
    model.close();
  }
}

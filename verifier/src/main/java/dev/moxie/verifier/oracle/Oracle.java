package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Step;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass of a model in double precision, sharing no operation with any runtime. Beside
 * each value it carries the standard deviation of the rounding error that an implementation of
 * lower precision would have made; {@link Arithmetic} has the rules.
 */
public final class Oracle {
  private final Architecture architecture;
  private final Weights weights;
  private final Arithmetic arithmetic;

  /**
   * An oracle.
   *
   * @param precision of the implementation whose errors are estimated
   */
  public Oracle(Architecture architecture, Weights weights, Precision precision) {
    this(architecture, weights, Arithmetic.of(precision));
  }

  private Oracle(Architecture architecture, Weights weights, Arithmetic arithmetic) {
    this.architecture = architecture;
    this.weights = weights;
    this.arithmetic = arithmetic;
  }

  /**
   * An oracle whose every step is off by a sample of that step's own error, and whose results carry
   * none: what an implementation might have computed.
   */
  public Oracle sampled(Random random) {
    return new Oracle(architecture, weights, arithmetic.with(random));
  }

  /**
   * What one layer does with T tokens.
   *
   * @param output [T, H]
   * @param mixture null for a layer without experts
   */
  public record Layer(Estimate output, @Nullable Mixture mixture) {}

  /**
   * What the experts of one layer do with T tokens.
   *
   * @param normed what router and experts read, [T, H]
   * @param routerLogits [T, E]
   * @param routed choice and weights
   * @param expertsOutput weighted sum over the chosen experts, [T, H]
   * @param output that and the shared experts' output, [T, H]
   */
  public record Mixture(
      Estimate normed,
      Estimate routerLogits,
      RoutingOracle.Routed routed,
      Estimate expertsOutput,
      Estimate output) {}

  /** Of the model that it computes. */
  public Architecture architecture() {
    return architecture;
  }

  private Exact reader(@Nullable List<int[]> replayed) {
    return new Exact(weights::of, arithmetic, replayed);
  }

  private Forward<Estimate> forward(Exact reader) {
    return new Forward<>(architecture, reader);
  }

  private Forward<Estimate> forward() {
    return forward(reader(null));
  }

  /** Hidden states of tokens, [T, H]. */
  public Estimate embed(long[] ids) {
    return forward(new Exact(weights::of, arithmetic, ids, null)).embedding();
  }

  /** Logits, [T, V]. */
  public Estimate head(Estimate hidden) {
    return forward().head(hidden);
  }

  /**
   * One layer on the first T positions.
   *
   * @param replayed the experts of each token where the caller decides them, else null
   */
  public Layer layer(int layer, Estimate input, @Nullable List<int[]> replayed) {
    Exact reader = reader(replayed);
    Estimate output = forward(reader).layer(layer, input);
    return new Layer(
        output,
        architecture.layers().get(layer).feedForward() instanceof FeedForward.MixtureOfExperts
            ? new Mixture(
                reader.step(Step.MOE_INPUT),
                reader.step(Step.ROUTER_LOGITS),
                reader.routed(),
                reader.step(Step.EXPERTS_OUTPUT),
                reader.step(Step.MOE_OUTPUT))
            : null);
  }

  /** Input and self-attention of it: the residual stream between the halves of a layer, [T, H]. */
  public Estimate attended(int layer, Estimate input) {
    return forward().attended(layer, architecture.layers().get(layer).attention(), input);
  }

  /** What the second half of a layer reads, [T, H]. */
  public Estimate normed(int layer, Estimate residual) {
    return forward().normed(layer, residual);
  }

  /** The shared experts of a layer that has some, [T, H]. */
  public Estimate shared(int layer, FeedForward.SharedExperts shared, Estimate normed) {
    return forward().shared(layer, mixtureOf(layer), shared, normed);
  }

  /** Router logits, [T, E]. */
  public Estimate routerLogits(int layer, Estimate normed) {
    return forward().routerLogits(layer, mixtureOf(layer), normed);
  }

  /**
   * Routes tokens.
   *
   * @param replayed the experts of each token where the caller decides them, else null
   */
  public RoutingOracle.Routed route(
      int layer,
      FeedForward.MixtureOfExperts moe,
      Estimate logits,
      @Nullable List<int[]> replayed) {
    Exact reader = reader(replayed);
    forward(reader).route(layer, moe, logits);
    return reader.routed();
  }

  /** Weighted sum over the chosen experts, [T, H]. */
  public Estimate experts(
      int layer, FeedForward.MixtureOfExperts moe, Estimate normed, RoutingOracle.Routed routed) {
    var chosen = Estimate.of(routed.experts());
    return forward().experts(layer, moe, normed, new Forward.Routed<>(chosen, routed.weights()));
  }

  /** One expert's output for any tokens, without their weights. */
  public Estimate expert(int layer, int expert, Estimate x) {
    return forward().expert(layer, mixtureOf(layer), expert, x);
  }

  /** The experts of a layer that has some. */
  public FeedForward.MixtureOfExperts mixtureOf(int layer) {
    return (FeedForward.MixtureOfExperts) architecture.layers().get(layer).feedForward();
  }

  /** The stored bias of each expert of a layer's router; zeros where there is none. */
  public double[] routerBias(int layer, FeedForward.MixtureOfExperts moe) {
    double[] bias = new double[moe.experts()];
    if (moe.routing().hasBiasOfScores()) {
      weights.of(Forward.routerBias(layer, moe)).read(0, bias);
    }
    return bias;
  }
}

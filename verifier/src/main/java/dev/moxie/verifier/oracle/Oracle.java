package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Step;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass of a model in double precision, sharing no operation with any runtime. Beside
 * each value it carries the standard deviation of the rounding error that an implementation of
 * lower precision would have made; {@link Arithmetic} has the rules.
 */
public final class Oracle {
  private final Architecture architecture;
  private final Weights weights;
  private final Precisions precisions;
  private final Arithmetic arithmetic;
  private final @Nullable Estimate encoded;
  private final @Nullable Estimate image;

  /**
   * An oracle.
   *
   * @param precision of the implementation whose errors are estimated
   */
  public Oracle(Architecture architecture, Weights weights, Precision precision) {
    this(architecture, weights, Precisions.of(precision));
  }

  /** One for two implementations that are held to each other. */
  public Oracle(Architecture architecture, Weights weights, Precisions precisions) {
    this(architecture, weights, precisions, Arithmetic.of(precisions), null, null);
  }

  private Oracle(
      Architecture architecture,
      Weights weights,
      Precisions precisions,
      Arithmetic arithmetic,
      @Nullable Estimate encoded,
      @Nullable Estimate image) {
    this.architecture = architecture;
    this.weights = weights;
    this.precisions = precisions;
    this.arithmetic = arithmetic;
    this.encoded = encoded;
    this.image = image;
  }

  /**
   * What one layer does with T tokens.
   *
   * @param steps what is computed, in that order; experts stand in {@code routed}
   * @param routed choice and weights; null for a layer without experts
   * @param undecided tokens for which rounding may have decided which positions attention sees, or
   *     which experts compete: nothing can be held to what becomes of them
   */
  public record Layer(
      Map<Step, Estimate> steps, RoutingOracle.@Nullable Routed routed, BitSet undecided) {
    /** The residual stream after the layer, [T, H]. */
    public Estimate output() {
      return step(Step.OUTPUT);
    }

    /** The first token that is undecided; the number of tokens if none is. */
    public int firstUndecided() {
      int first = undecided.nextSetBit(0);
      return first < 0 ? output().rows() : first;
    }

    /** One of its steps. */
    public Estimate step(Step step) {
      return Objects.requireNonNull(steps.get(step), step.id());
    }
  }

  /** The same pass, every rounding of which is drawn. */
  Oracle sampled(Random random) {
    return new Oracle(architecture, weights, precisions, arithmetic.with(random), encoded, image);
  }

  /**
   * One whose decoder reads what an encoder leaves.
   *
   * @param last what the last layer of the encoder makes, [S, H]
   */
  public Oracle reading(Estimate last) {
    Estimate read = new Forward<>(architecture, reader(new long[0], null)).encoded(last);
    return new Oracle(architecture, weights, precisions, arithmetic, read, image);
  }

  /**
   * One whose tokens show an image.
   *
   * @param patches of all tokens but the first
   */
  public Oracle seeing(Estimate patches) {
    Estimate read = patches.withErrors(precisions::roundedOff);
    return new Oracle(architecture, weights, precisions, arithmetic, encoded, read);
  }

  private Exact reader(long[] ids, @Nullable List<int[]> replayed) {
    return new Exact(weights::of, arithmetic, ids, replayed, null).seeing(image);
  }

  /** What the reference recorded, which the runtime rounds to what it computes in. */
  public Estimate given(Estimate recorded) {
    Precision runtime = precisions.runtime();
    return recorded.withErrors(value -> precisions.mean(0, runtime.roundedOff(value)));
  }

  /** Hidden states of tokens, [T, H]. */
  public Estimate embed(long[] ids) {
    return new Forward<>(architecture, reader(ids, null)).embedding();
  }

  /** Logits, [T, V]. */
  public Estimate head(Estimate hidden) {
    return new Forward<>(architecture, reader(new long[0], null)).head(hidden);
  }

  /**
   * One layer on the first T positions.
   *
   * @param ids of the tokens
   * @param replayed the experts of each token where the caller decides them, else null
   */
  public Layer layer(int layer, long[] ids, Estimate input, @Nullable List<int[]> replayed) {
    Exact reader = reader(ids, replayed);
    var forward = new Forward<>(architecture, reader);
    if (architecture.layers().get(layer).cross() != null) {
      forward.remember(layer, Objects.requireNonNull(encoded, "what an encoder leaves"));
    }
    forward.layer(layer, input);
    Map<Step, Estimate> steps = new EnumMap<>(reader.steps());
    steps.keySet().removeAll(Set.of(Step.INPUT, Step.ROUTER_EXPERTS));
    BitSet undecided = reader.undecided();
    steps.replaceAll((step, estimate) -> estimate.without(undecided));
    return new Layer(
        steps,
        architecture.layers().get(layer).feedForward() instanceof FeedForward.MixtureOfExperts moe
            ? reader.routed(moe.routing())
            : null,
        undecided);
  }

  /** The stored bias of each expert of a layer's router; zeros where there is none. */
  public double[] routerBias(int layer, FeedForward.MixtureOfExperts moe) {
    return weights.routerBias(layer, moe);
  }
}

package dev.moxie.verifier.oracle;

import static dev.moxie.verifier.oracle.Arithmetic.norm2;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Step;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * The oracle as it was written by hand for the first two attentions, before it became a reader of
 * the forward pass: a second opinion, which must agree bit for bit. New parts are not added here.
 */
final class HandWrittenOracle {
  private final Architecture architecture;
  private final WeightsByName weights;
  private final Arithmetic arithmetic;
  private final HandWrittenAttention attention;

  /**
   * An oracle.
   *
   * @param precision of the implementation whose errors are estimated
   */
  public HandWrittenOracle(Architecture architecture, WeightsByName weights, Precision precision) {
    this(architecture, weights, Arithmetic.of(precision));
  }

  private HandWrittenOracle(
      Architecture architecture, WeightsByName weights, Arithmetic arithmetic) {
    this.architecture = architecture;
    this.weights = weights;
    this.arithmetic = arithmetic;
    this.attention = new HandWrittenAttention(weights, arithmetic);
  }

  /**
   * An oracle whose every step is off by a sample of that step's own error, and whose results carry
   * none: what an implementation might have computed.
   */
  public HandWrittenOracle sampled(Random random) {
    return new HandWrittenOracle(architecture, weights, arithmetic.with(random));
  }

  /** Hidden states of tokens, [T, H]. */
  public Estimate embed(long[] ids) {
    WeightMatrix matrix = weights.tensor("embedding.weight");
    var hidden = new Estimate(ids.length, matrix.columns());
    double[] row = new double[matrix.columns()];
    for (int t = 0; t < ids.length; t++) {
      matrix.read(Math.toIntExact(ids[t]), row);
      for (int c = 0; c < row.length; c++) {
        hidden.set(t, c, row[c], matrix.roundingOf(Math.toIntExact(ids[t]), c, row[c]));
      }
    }
    return arithmetic.settle(hidden);
  }

  /** Logits, [T, V]. */
  public Estimate head(Estimate hidden) {
    return arithmetic.linear(
        norm(hidden, "final_norm.weight"),
        weights.tensor(architecture.tiedEmbeddings() ? "embedding.weight" : "head.weight"));
  }

  /**
   * One layer on the first T positions.
   *
   * @param replayed the experts of each token where the caller decides them, else null
   */
  public Oracle.Layer layer(int layer, Estimate input, @Nullable List<int[]> replayed) {
    Estimate residual = attended(layer, input);
    Estimate normed = normed(layer, residual);
    return switch (architecture.layers().get(layer).feedForward()) {
      case FeedForward.None _ -> throw new UnsupportedOperationException("half a layer");
      case FeedForward.Dense dense ->
          new Oracle.Layer(
              Map.of(Step.OUTPUT, arithmetic.sum(residual, dense(layer, normed))),
              null,
              new BitSet());
      case FeedForward.MixtureOfExperts moe -> {
        Estimate logits = routerLogits(layer, normed);
        RoutingOracle.Routed routed = route(layer, moe, logits, replayed);
        Estimate mixed = experts(layer, moe, normed, routed);
        Estimate output =
            moe.shared() == null ? mixed : arithmetic.sum(mixed, shared(layer, normed));
        yield new Oracle.Layer(
            Map.of(
                Step.MOE_INPUT,
                normed,
                Step.ROUTER_LOGITS,
                logits,
                Step.ROUTER_WEIGHTS,
                routed.weights(),
                Step.EXPERTS_OUTPUT,
                mixed,
                Step.MOE_OUTPUT,
                output,
                Step.OUTPUT,
                arithmetic.sum(residual, output)),
            routed,
            new BitSet());
      }
    };
  }

  /** Input and self-attention of it: the residual stream between the halves of a layer, [T, H]. */
  public Estimate attended(int layer, Estimate input) {
    String prefix = "layers." + layer + ".";
    Estimate normed = norm(input, prefix + "attention_norm.weight");
    var kind = (Attention.Softmax) architecture.layers().get(layer).attention();
    return arithmetic.sum(input, attention.attention(prefix, kind, normed));
  }

  /** What the second half of a layer reads, [T, H]. */
  public Estimate normed(int layer, Estimate residual) {
    return norm(residual, "layers." + layer + ".feed_forward_norm.weight");
  }

  /** The network of a layer without experts, [T, H]. */
  public Estimate dense(int layer, Estimate normed) {
    return network("layers." + layer + ".dense.", normed);
  }

  /** The shared experts of a layer that has some, [T, H]. */
  public Estimate shared(int layer, Estimate normed) {
    return network("layers." + layer + ".shared.", normed);
  }

  /** Router logits, [T, E]. */
  public Estimate routerLogits(int layer, Estimate normed) {
    return arithmetic.linear(normed, weights.tensor("layers." + layer + ".router.weight"));
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
    return new HandWrittenRouting(moe.routing(), routerBias(layer, moe), arithmetic)
        .route(logits, replayed);
  }

  /** Weighted sum over the chosen experts, [T, H]. */
  public Estimate experts(
      int layer, FeedForward.MixtureOfExperts moe, Estimate normed, RoutingOracle.Routed routed) {
    var mixed = new Estimate(normed.rows(), normed.columns());
    for (int expert = 0; expert < moe.experts(); expert++) {
      addExpert(layer, expert, normed, routed, mixed);
    }
    return arithmetic.settle(mixed);
  }

  /** One expert's output for any tokens, without their weights. */
  public Estimate expert(int layer, int expert, Estimate x) {
    String stem = "layers." + layer + ".experts.";
    Estimate gate =
        arithmetic.linear(x, weights.slice(stem + "gate_up.weight", expert, Projection.GATE));
    Estimate up =
        arithmetic.linear(x, weights.slice(stem + "gate_up.weight", expert, Projection.UP));
    return arithmetic.linear(
        arithmetic.gated(FeedForward.Activation.SILU, gate, up),
        weights.slice(stem + "down.weight", expert, Projection.DOWN));
  }

  /** The stored bias of each expert of a layer's router; zeros where there is none. */
  public double[] routerBias(int layer, FeedForward.MixtureOfExperts moe) {
    double[] bias = new double[moe.experts()];
    if (moe.routing().bias() != null) {
      weights.tensor("layers." + layer + ".router.bias").read(0, bias);
    }
    return bias;
  }

  private Estimate norm(Estimate x, String weight) {
    return arithmetic.norm(x, weights.tensor(weight), architecture.normEpsilon());
  }

  /** down(silu(gate x) · up x), the same for every token. */
  private Estimate network(String stem, Estimate x) {
    Estimate gate = arithmetic.linear(x, weights.tensor(stem + "gate.weight"));
    Estimate up = arithmetic.linear(x, weights.tensor(stem + "up.weight"));
    return arithmetic.linear(
        arithmetic.gated(FeedForward.Activation.SILU, gate, up),
        weights.tensor(stem + "down.weight"));
  }

  private void addExpert(
      int layer, int expert, Estimate normed, RoutingOracle.Routed routed, Estimate mixed) {
    List<int[]> chosen = routed.experts();
    List<int[]> places = new ArrayList<>();
    for (int t = 0; t < chosen.size(); t++) {
      for (int i = 0; i < chosen.get(t).length; i++) {
        if (chosen.get(t)[i] == expert) {
          places.add(new int[] {t, i});
        }
      }
    }
    if (places.isEmpty()) {
      return;
    }
    var x = new Estimate(places.size(), normed.columns());
    for (int p = 0; p < places.size(); p++) {
      x.copyRow(normed, places.get(p)[0], p);
    }
    Estimate y = expert(layer, expert, x);
    for (int p = 0; p < places.size(); p++) {
      int t = places.get(p)[0];
      double w = routed.weights().value(t, places.get(p)[1]);
      double we = routed.weights().error(t, places.get(p)[1]);
      for (int c = 0; c < y.columns(); c++) {
        double v = w * y.value(p, c);
        double rounding = Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u() * v;
        mixed.add(t, c, v, norm2(w * y.error(p, c), we * y.value(p, c), rounding));
      }
    }
  }
}

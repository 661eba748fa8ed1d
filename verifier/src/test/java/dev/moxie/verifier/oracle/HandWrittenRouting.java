package dev.moxie.verifier.oracle;

import static dev.moxie.verifier.oracle.Arithmetic.norm2;

import dev.moxie.format.model.Routing;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** The equation of {@link Routing}, by sorting. */
final class HandWrittenRouting {
  private final Routing routing;
  private final double[] bias;
  private final Arithmetic scoring;
  private final Arithmetic storing;

  /**
   * A router.
   *
   * @param bias per expert, [E]; unused where the equation has none
   * @param precision of the implementation whose errors are estimated
   */
  public HandWrittenRouting(Routing routing, double[] bias, Precision precision) {
    this(routing, bias, Arithmetic.of(precision));
  }

  HandWrittenRouting(Routing routing, double[] bias, Arithmetic storing) {
    this.routing = routing;
    this.bias = bias;
    // The equation is computed in float32; only the weights are stored as everything else is.
    this.scoring = Arithmetic.of(Precision.F32).with(storing.noise());
    this.storing = storing;
  }

  /**
   * Routes tokens.
   *
   * @param logits [T, E]
   * @param replayed the experts of each token where the caller decides them, else null
   */
  RoutingOracle.Routed route(Estimate logits, @Nullable List<int[]> replayed) {
    int tokens = logits.rows();
    Routing.Groups limits = routing.groups();
    var choice = new Estimate(tokens, logits.columns());
    @Nullable Estimate groups = limits == null ? null : new Estimate(tokens, limits.count());
    List<int[]> experts = new ArrayList<>();
    var weights = new Estimate(tokens, routing.expertsPerToken());
    for (int t = 0; t < tokens; t++) {
      Estimate scores =
          switch (routing.score()) {
            case SOFTMAX -> scoring.softmax(logits, t);
            case SIGMOID -> scoring.sigmoid(logits, t);
            case SQRT_SOFTPLUS -> scoring.sqrtSoftplus(logits, t);
            case IDENTITY, ONE -> throw new IllegalArgumentException("no mixer or table by hand");
          };
      Estimate biased = biased(scores);
      choice.copyRow(biased, 0, t);
      if (groups != null && limits != null) {
        aggregate(limits, biased, t, groups);
      }
      experts.add(replayed == null ? select(biased, groups, t) : replayed.get(t));
      boolean touchesWeights = routing.bias() == Routing.Bias.SELECTION_AND_WEIGHTS;
      weigh(touchesWeights ? biased : scores, experts.get(t), t, weights);
    }
    return new RoutingOracle.Routed(routing, choice, groups, experts, storing.settle(weights));
  }

  private Estimate biased(Estimate scores) {
    if (routing.bias() == null) {
      return scores;
    }
    var biased = new Estimate(1, scores.columns());
    for (int e = 0; e < scores.columns(); e++) {
      double c = scores.value(0, e) + bias[e];
      biased.set(0, e, c, norm2(scores.error(0, e), scoring.u() * c, 0));
    }
    return biased;
  }

  private void aggregate(Routing.Groups limits, Estimate choice, int t, Estimate groups) {
    int size = choice.columns() / limits.count();
    for (int g = 0; g < limits.count(); g++) {
      int first = g * size;
      int[] order = descending(size, i -> choice.value(0, first + i));
      int best = first + order[0];
      switch (limits.aggregate()) {
        case MAXIMUM -> groups.set(t, g, choice.value(0, best), choice.error(0, best));
        case SUM_OF_TOP_TWO -> {
          int second = first + order[1];
          double sum = choice.value(0, best) + choice.value(0, second);
          double error = norm2(choice.error(0, best), choice.error(0, second), scoring.u() * sum);
          groups.set(t, g, sum, error);
        }
      }
    }
  }

  private int[] select(Estimate choice, @Nullable Estimate groups, int t) {
    Routing.Groups limits = routing.groups();
    double[] values = new double[choice.columns()];
    for (int e = 0; e < values.length; e++) {
      values[e] = choice.value(0, e);
    }
    if (limits != null && groups != null) {
      int size = values.length / limits.count();
      int[] order = descending(limits.count(), g -> groups.value(t, g));
      for (int i = limits.kept(); i < order.length; i++) {
        for (int e = order[i] * size; e < (order[i] + 1) * size; e++) {
          values[e] =
              switch (limits.maskValue()) {
                case ZERO -> 0;
                case NEGATIVE_INFINITY -> Double.NEGATIVE_INFINITY;
              };
        }
      }
    }
    int[] order = descending(values.length, e -> values[e]);
    return java.util.Arrays.copyOf(order, routing.expertsPerToken());
  }

  /** Indices by falling value; of equal ones the lower first. */
  private static int[] descending(int count, IntToDoubleFunction value) {
    return IntStream.range(0, count)
        .boxed()
        .sorted(
            (a, b) -> {
              int byValue = Double.compare(value.applyAsDouble(b), value.applyAsDouble(a));
              return byValue != 0 ? byValue : Integer.compare(a, b);
            })
        .mapToInt(Integer::intValue)
        .toArray();
  }

  private void weigh(Estimate values, int[] chosen, int t, Estimate weights) {
    double total = 0;
    double squares = 0;
    for (int expert : chosen) {
      total += values.value(0, expert);
      squares += values.error(0, expert) * values.error(0, expert);
    }
    Routing.Normalisation normalisation = routing.normalisation();
    for (int i = 0; i < chosen.length; i++) {
      double w = values.value(0, chosen[i]);
      double e = values.error(0, chosen[i]);
      if (normalisation != null) {
        double divisor = total + normalisation.epsilon();
        double others = Math.sqrt(Math.max(0, squares - e * e));
        w = w / divisor;
        // dw_i = ((1 − w_i) ds_i − w_i Σ ds_j) / divisor, j other than i.
        e = norm2((1 - w) * e, w * others, 0) / divisor;
      }
      w *= routing.scale();
      e *= routing.scale();
      double rounding = Arithmetic.FUNCTION_ROUNDINGS * storing.u() * w;
      weights.set(t, i, w, norm2(e, rounding, 0));
    }
  }
}

package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Routing;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.RoutingOracle;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * Whether some other bias explains recorded decisions. It is looked for as a structured perceptron
 * does (Collins, 2002): where the decision is not the recorded one, the bias of each expert missing
 * from it is raised a little and that of each one too many lowered.
 */
final class BiasFit {
  private static final int ROUNDS = 2000;

  /** First step, of a score between 0 and 1; steps shrink as the rounds go on. */
  private static final double STEP = 0.02;

  private final Routing routing;
  private final double[] stored;
  private final Precision precision;
  private final boolean withinRounding;

  /**
   * A search.
   *
   * @param stored the package's bias
   * @param withinRounding whether only biases count that rounding to bfloat16 makes the stored ones
   */
  BiasFit(Routing routing, double[] stored, Precision precision, boolean withinRounding) {
    this.routing = routing;
    this.stored = stored;
    this.precision = precision;
    this.withinRounding = withinRounding;
  }

  /** Whether every value is a bfloat16 one. */
  static boolean isBf16(double[] values) {
    return Arrays.stream(values).allMatch(v -> Precision.BF16.round(v) == v);
  }

  /** Whether a bias is found under which every token gets the experts that were recorded. */
  boolean explains(Estimate logits, List<int[]> recorded) {
    int choices = recorded.stream().mapToInt(chosen -> chosen.length).sum();
    // With fewer recorded choices than that, some bias explains almost anything.
    if (choices < 2 * stored.length || !Arrays.stream(stored).allMatch(Double::isFinite)) {
      return false;
    }
    double[] bias = stored.clone();
    for (int round = 0; round < ROUNDS; round++) {
      RoutingOracle.Routed routed = new RoutingOracle(routing, bias, precision).route(logits, null);
      var selection = new Selection(routed);
      double step = STEP / (1 + round / 50.0);
      boolean fits = true;
      for (int t = 0; t < recorded.size(); t++) {
        Set<Integer> wanted = Selection.set(recorded.get(t));
        if (!selection.mayChoose(t, wanted)) {
          fits = false;
          Set<Integer> chosen = Selection.set(routed.experts().get(t));
          wanted.stream().filter(e -> !chosen.contains(e)).forEach(e -> move(bias, e, step));
          chosen.stream().filter(e -> !wanted.contains(e)).forEach(e -> move(bias, e, -step));
        }
      }
      if (fits) {
        return true;
      }
    }
    return false;
  }

  private void move(double[] bias, int expert, double step) {
    bias[expert] += step;
    if (withinRounding) {
      double half = Precision.BF16.ulp(stored[expert]) / 2;
      bias[expert] = Math.clamp(bias[expert], stored[expert] - half, stored[expert] + half);
    }
  }
}

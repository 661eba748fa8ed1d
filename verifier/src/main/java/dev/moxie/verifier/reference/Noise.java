package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.routing.TraceRouting;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * How large rounding really is, measured on two references of the same tokens. What a reference's
 * step differs from the oracle's, computed from the same recorded input, is that reference's own
 * rounding r, and whatever is wrong with the package; the difference r − r′ of both references is
 * rounding alone. The oracle expects it to have a standard deviation of √2 e. The factor of a step
 * is the root mean square of (r − r′) / (√2 e), over all layers, elements and those tokens for
 * which both references chose the same experts so far, and multiplies every bound of that step.
 */
final class Noise {
  private static final String ACCUMULATED = "accumulated";
  private static final String LOGITS = "logits";
  private static final String HEAD = "head";

  private final Map<String, double[]> sums = new TreeMap<>();
  private final Architecture architecture;
  private final Oracle oracle;
  private final Trace trace;
  private final Trace other;
  private final int tokens;

  private Noise(Architecture architecture, Oracle oracle, Trace trace, Trace other) {
    this.architecture = architecture;
    this.oracle = oracle;
    this.trace = trace;
    this.other = other;
    this.tokens = trace.inputIds().length;
  }

  /**
   * Measures two traces of one architecture.
   *
   * @throws CorruptException if they are not of the same tokens, or are the same numbers
   */
  static Noise measure(Architecture architecture, Oracle oracle, Trace trace, Trace other) {
    if (!Arrays.equals(trace.inputIds(), other.inputIds())) {
      throw new CorruptException(
          other.path() + ", tensor \"input_ids\"",
          "the tokens of " + trace.path(),
          "others",
          "record the same tokens with another backend or in another precision");
    }
    var noise = new Noise(architecture, oracle, trace, other);
    noise.measure();
    if (noise.sums.values().stream().allMatch(sum -> sum[0] == 0)) {
      throw new CorruptException(
          other.path().toString(),
          "a second reference that differs by its rounding",
          "the very numbers of " + trace.path(),
          "record it with another backend or in another precision");
    }
    return noise;
  }

  private void measure() {
    Estimate hidden = oracle.embed(trace.inputIds());
    Estimate otherHidden = hidden;
    int alike = tokens;
    for (int i = 0; i < architecture.layers().size(); i++) {
      String prefix = "layers." + i + ".";
      @Nullable List<int[]> experts = experts(trace, i);
      @Nullable List<int[]> otherExperts = experts(other, i);
      alike = Math.min(alike, firstDifference(experts, otherExperts));
      Map<String, Estimate> steps =
          LayerSteps.of(oracle.layer(i, given(trace, prefix + "input"), experts));
      Map<String, Estimate> otherSteps =
          LayerSteps.of(oracle.layer(i, given(other, prefix + "input"), otherExperts));
      for (var step : steps.entrySet()) {
        Estimate theirs = Objects.requireNonNull(otherSteps.get(step.getKey()));
        add(step.getKey(), prefix + step.getKey(), step.getValue(), theirs, alike);
      }
      hidden = oracle.layer(i, hidden, experts).output();
      otherHidden = oracle.layer(i, otherHidden, otherExperts).output();
      add(ACCUMULATED, prefix + "output", hidden, otherHidden, alike);
    }
    add(LOGITS, LOGITS, oracle.head(hidden), oracle.head(otherHidden), alike);
    String last = "layers." + (architecture.layers().size() - 1) + ".output";
    add(HEAD, LOGITS, oracle.head(given(trace, last)), oracle.head(given(other, last)), alike);
  }

  private Estimate given(Trace of, String name) {
    return Estimate.exact(
        of.floats(name, tokens, architecture.hiddenSize()), architecture.hiddenSize());
  }

  private @Nullable List<int[]> experts(Trace of, int layer) {
    return architecture.layers().get(layer).feedForward()
            instanceof FeedForward.MixtureOfExperts moe
        ? TraceRouting.experts(of, layer, moe, tokens)
        : null;
  }

  private static int firstDifference(@Nullable List<int[]> a, @Nullable List<int[]> b) {
    if (a == null || b == null) {
      return Integer.MAX_VALUE;
    }
    for (int t = 0; t < a.size(); t++) {
      if (!Selection.set(a.get(t)).equals(Selection.set(b.get(t)))) {
        return t;
      }
    }
    return a.size();
  }

  /**
   * Adds a step.
   *
   * @param rows tokens to compare
   */
  private void add(String step, String name, Estimate ours, Estimate theirs, int rows) {
    boolean ordered = !step.equals("router.weights");
    if (!ordered || !trace.has(name) || !other.has(name)) {
      // Weights stand in the order of the experts, which means nothing.
      return;
    }
    float[] a = trace.floats(name, tokens, ours.columns());
    float[] b = other.floats(name, tokens, ours.columns());
    double[] sum = sums.computeIfAbsent(step, key -> new double[2]);
    for (int i = 0; i < rows * ours.columns(); i++) {
      int row = i / ours.columns();
      int column = i % ours.columns();
      double error = ours.error(row, column);
      if (error > 0) {
        double own = a[i] - ours.value(row, column);
        double other = b[i] - theirs.value(row, column);
        double ratio = (own - other) / (Math.sqrt(2) * error);
        sum[0] += ratio * ratio;
        sum[1]++;
      }
    }
  }

  /** By how much bounds of a step are to be multiplied: by one where nothing was measured. */
  double factor(String step) {
    double[] sum = sums.get(step);
    double square = sum == null || sum[0] == 0 ? 1 : sum[0] / sum[1];
    return Math.sqrt(Math.max(square, (1 + square) / 2));
  }

  /** What the report says of it. */
  Report.Noise report() {
    Map<String, Double> factors = new TreeMap<>();
    sums.keySet().forEach(step -> factors.put(step, factor(step)));
    return new Report.Noise(other.path().toString(), factors);
  }
}

package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Step;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Recorded;
import dev.moxie.verifier.oracle.Texts;
import dev.moxie.verifier.report.Report;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
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
  private final Recorded trace;
  private final Recorded other;
  private final List<Integer> layers;

  private Noise(
      Architecture architecture,
      Oracle oracle,
      Recorded trace,
      Recorded other,
      List<Integer> layers) {
    this.architecture = architecture;
    this.oracle = oracle;
    this.trace = trace;
    this.other = other;
    this.layers = layers;
  }

  /**
   * Measures two traces of one architecture.
   *
   * @param layers to measure; where one is left out, nothing is from the tokens on
   * @throws CorruptException if they are not of the same tokens, or are the same numbers
   */
  static Noise measure(
      Architecture architecture,
      Oracle oracle,
      Recorded trace,
      Recorded other,
      List<Integer> layers) {
    boolean image = architecture.image() != null;
    if (!Arrays.equals(trace.ids(), other.ids())
        || !Arrays.equals(trace.trace().inputIds(), other.trace().inputIds())
        || (image && !Arrays.equals(trace.patches().toFloats(), other.patches().toFloats()))) {
      throw new CorruptException(
          other.trace().path() + ", tensor \"" + (image ? Trace.PATCHES : "input_ids") + "\"",
          (image ? "the patches of " : "the tokens of ") + trace.trace().path(),
          "others",
          "record the same tokens with another backend or in another precision");
    }
    var noise = new Noise(architecture, oracle, trace, other, layers);
    noise.measure();
    if (noise.sums.values().stream().allMatch(sum -> sum[0] == 0)) {
      throw new CorruptException(
          other.trace().path().toString(),
          "a second reference that differs by its rounding",
          "the very numbers of " + trace.trace().path(),
          "record it with another backend or in another precision");
    }
    return noise;
  }

  private void measure() {
    int last = architecture.layers().size() - 1;
    boolean whole = layers.size() > last;
    Texts texts = trace.texts();
    Estimate hidden = oracle.embed(texts.of(0));
    Estimate otherHidden = hidden;
    Oracle own = oracle;
    Oracle others = oracle;
    Oracle given = oracle;
    Oracle otherGiven = oracle;
    int alike = Integer.MAX_VALUE;
    for (int i : layers) {
      long[] ids = texts.of(i);
      if (texts.begin(i)) {
        own = own.reading(hidden);
        others = others.reading(otherHidden);
        given = oracle.reading(trace.get(i - 1, Step.OUTPUT));
        otherGiven = oracle.reading(other.get(i - 1, Step.OUTPUT));
        hidden = oracle.embed(ids);
        otherHidden = hidden;
      }
      @Nullable List<int[]> experts = experts(trace, i);
      @Nullable List<int[]> otherExperts = experts(other, i);
      int apart = firstDifference(experts, otherExperts);
      if (apart < ids.length) {
        alike = Math.min(alike, architecture.layers().get(i).reached(apart, ids.length));
      }
      Oracle.Layer ours = given.layer(i, ids, trace.get(i, Step.INPUT), experts);
      Oracle.Layer theirs = otherGiven.layer(i, ids, other.get(i, Step.INPUT), otherExperts);
      for (var step : ours.steps().entrySet()) {
        // Weights stand in the order of the experts, which means nothing.
        if (step.getKey() != Step.ROUTER_WEIGHTS) {
          String name = trace.name(i, step.getKey());
          add(step.getKey().id(), name, step.getValue(), theirs.step(step.getKey()), alike);
        }
      }
      if (whole) {
        hidden = own.layer(i, ids, hidden, experts).output();
        otherHidden = others.layer(i, ids, otherHidden, otherExperts).output();
        add(ACCUMULATED, trace.name(i, Step.OUTPUT), hidden, otherHidden, alike);
      }
    }
    if (whole) {
      add(LOGITS, LOGITS, oracle.head(hidden), oracle.head(otherHidden), alike);
    }
    if (layers.contains(last)) {
      add(HEAD, LOGITS, head(trace, last), head(other, last), alike);
    }
  }

  private Estimate head(Recorded of, int last) {
    return oracle.head(of.get(last, Step.OUTPUT));
  }

  private @Nullable List<int[]> experts(Recorded of, int layer) {
    return architecture.layers().get(layer).feedForward() instanceof FeedForward.MixtureOfExperts
        ? of.experts(layer)
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
    if (!trace.trace().has(name) || !other.trace().has(name)) {
      return;
    }
    float[] a = trace.floats(name, ours.rows(), ours.columns());
    float[] b = other.floats(name, ours.rows(), ours.columns());
    double[] sum = sums.computeIfAbsent(step, key -> new double[2]);
    for (int i = 0; i < Math.min(rows, ours.rows()) * ours.columns(); i++) {
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
    return new Report.Noise(other.trace().path().toString(), factors);
  }
}

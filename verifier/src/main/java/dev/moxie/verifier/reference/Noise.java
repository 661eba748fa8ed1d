package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.routing.TraceRouting;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * How large rounding really is, measured on two references. What a reference's step differs from
 * the oracle's, computed from the same recorded input, is that reference's own rounding: r. The
 * oracle expects a standard deviation of e. The factor of a step is the root mean square of r / e
 * over both references, all layers, tokens and elements, and multiplies every bound of that step.
 */
final class Noise {
  private static final String ACCUMULATED = "accumulated";
  private static final String LOGITS = "logits";
  private static final String HEAD = "head";

  private final Map<String, double[]> sums = new TreeMap<>();
  private final String file;

  private Noise(String file) {
    this.file = file;
  }

  /** Measures two traces of one architecture. */
  static Noise measure(Architecture architecture, Oracle oracle, Trace trace, Trace other) {
    var noise = new Noise(other.path().toString());
    noise.add(architecture, oracle, trace);
    noise.add(architecture, oracle, other);
    noise.sums.forEach(
        (step, sum) -> {
          if (sum[0] == 0) {
            throw new CorruptException(
                other.path().toString(),
                "a second reference whose rounding can be measured",
                "no rounding at all in " + step,
                "record it with another backend or dtype");
          }
        });
    return noise;
  }

  private void add(Architecture architecture, Oracle oracle, Trace trace) {
    int tokens = trace.inputIds().length;
    int width = architecture.hiddenSize();
    Estimate hidden = oracle.embed(trace.inputIds());
    for (int i = 0; i < architecture.layers().size(); i++) {
      String prefix = "layers." + i + ".";
      @Nullable List<int[]> experts =
          architecture.layers().get(i).feedForward() instanceof FeedForward.MixtureOfExperts moe
              ? TraceRouting.experts(trace, i, moe, tokens)
              : null;
      Estimate input = Estimate.exact(trace.floats(prefix + "input", tokens, width), width);
      LayerSteps.of(oracle.layer(i, input, experts))
          .forEach(
              (step, estimate) -> {
                if (trace.has(prefix + step)) {
                  add(step, estimate, trace.floats(prefix + step, tokens, estimate.columns()));
                }
              });
      hidden = oracle.layer(i, hidden, experts).output();
      add(ACCUMULATED, hidden, trace.floats(prefix + "output", tokens, width));
    }
    float[] logits = trace.floats(LOGITS, tokens, architecture.vocabSize());
    add(LOGITS, oracle.head(hidden), logits);
    String last = "layers." + (architecture.layers().size() - 1) + ".output";
    add(HEAD, oracle.head(Estimate.exact(trace.floats(last, tokens, width), width)), logits);
  }

  private void add(String step, Estimate estimate, float[] recorded) {
    double[] sum = sums.computeIfAbsent(step, name -> new double[2]);
    for (int i = 0; i < recorded.length; i++) {
      int row = i / estimate.columns();
      int column = i % estimate.columns();
      double error = estimate.error(row, column);
      if (error > 0) {
        double ratio = (recorded[i] - estimate.value(row, column)) / error;
        sum[0] += ratio * ratio;
        sum[1]++;
      }
    }
  }

  /** By how much bounds of a step are to be multiplied. */
  double factor(String step) {
    double[] sum = sums.get(step);
    return sum == null ? 1 : Math.sqrt(sum[0] / sum[1]);
  }

  /** What the report says of it. */
  Report.Noise report() {
    Map<String, Double> factors = new TreeMap<>();
    sums.keySet().forEach(step -> factors.put(step, factor(step)));
    return new Report.Noise(file, factors);
  }
}

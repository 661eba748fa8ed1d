package dev.moxie.verifier.reference;

import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Recorded;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Comparison;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * A package with its runtime and its oracle on one side, a trace on the other, and how numbers of
 * both are compared.
 *
 * @param layers that are compared
 * @param precision of the trace
 * @param noise how large rounding was measured to be; null if it was not
 * @param untelling takes what was compared and shows nothing, in words
 */
record Sides(
    MoxiePackage pack,
    Trace trace,
    Recorded recorded,
    List<Integer> layers,
    Precision precision,
    Oracle oracle,
    PlainModel plain,
    @Nullable Noise noise,
    Set<String> untelling) {

  /**
   * Both sides.
   *
   * @param other a second trace of the same model, or null
   */
  static Sides of(
      MoxiePackage pack, Trace trace, @Nullable Trace other, PlainModel plain, Scope scope) {
    Precision precision = TraceShape.precision(trace);
    List<Integer> layers = scope.layers(pack.architecture());
    Recorded recorded = read(trace, pack, layers, scope.tokens());
    var weights = Weights.asConverted(pack, precision);
    var oracle = new Oracle(pack.architecture(), weights, precision);
    Noise noise =
        other == null
            ? null
            : Noise.measure(
                pack.architecture(),
                oracle,
                recorded,
                read(other, pack, layers, scope.tokens()),
                layers);
    return new Sides(
        pack, trace, recorded, layers, precision, oracle, plain, noise, new TreeSet<>());
  }

  private static Recorded read(Trace trace, MoxiePackage pack, List<Integer> layers, int tokens) {
    ScoredInputs.complete(trace, pack.architecture(), layers);
    TraceShape.require(trace, pack.architecture(), layers);
    trace.keepFirst(tokens);
    return new Recorded(trace, pack.architecture());
  }

  /** The number of the last layer of the package. */
  int last() {
    return pack.architecture().layers().size() - 1;
  }

  /** Whether every layer of the package is compared. */
  boolean whole() {
    return layers.size() == last() + 1;
  }

  /** Whether conversion took more from weights than rounding does. */
  boolean isQuantised() {
    return pack.manifest().provenance().quantisation() != null;
  }

  int tokens() {
    return recorded.ids().length;
  }

  /** The first rows of something this runtime computed, against what was recorded. */
  Comparison compare(String step, float[] actual, String name, Estimate estimate, int rows) {
    float[] expected = trace.floats(name, tokens(), estimate.columns());
    double factor = noise == null ? 1 : noise.factor(step);
    return Tolerance.compare(actual, expected, estimate, rows, factor);
  }

  /**
   * The same, computed from the tokens on: not judged where both sides may have gone their own way
   * from the first token.
   */
  Comparison fromTheTokensOn(
      String step, float[] actual, String name, Estimate estimate, int rows) {
    Comparison comparison = compare(step, actual, name, estimate, Math.max(1, rows));
    if (rows == 0) {
      return comparison.notJudged();
    }
    return tolerant(
        step.equals("logits") ? "logits end to end" : "layers from the tokens on", comparison);
  }

  /**
   * Where weights or reference are of lower precision, or quantised, each layer is held to its own
   * bound; over the depth their sum may exceed the values, and a single step's may, too.
   */
  Comparison tolerant(String what, Comparison comparison) {
    Manifest.Cast cast = pack.manifest().provenance().cast();
    boolean lower =
        precision != Precision.F32 || isQuantised() || (cast != null && cast.dtype() == Dtype.BF16);
    if (!lower) {
      return comparison;
    }
    if (!comparison.telling()) {
      untelling.add(what);
    }
    return comparison.tolerant();
  }
}

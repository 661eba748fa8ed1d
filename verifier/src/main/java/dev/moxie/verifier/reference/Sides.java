package dev.moxie.verifier.reference;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Precisions;
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
 * @param precisions of the trace and of the runtime
 * @param oracle with the errors of both
 * @param judge of the trace, with its errors alone
 * @param parts of the runtime
 * @param noise how large rounding was measured to be; null if it was not
 * @param untelling takes what was compared and shows nothing, in words
 */
record Sides(
    MoxiePackage pack,
    Trace trace,
    Recorded recorded,
    List<Integer> layers,
    Precisions precisions,
    Oracle oracle,
    Oracle judge,
    Layers parts,
    @Nullable Noise noise,
    Set<String> untelling) {

  /**
   * Both sides.
   *
   * @param other a second trace of the same model, or null
   * @param parts of the runtime
   * @param runtime what it computes in; null if it rounds no more than the trace
   */
  static Sides of(
      MoxiePackage pack,
      Trace trace,
      @Nullable Trace other,
      Layers parts,
      @Nullable Precision runtime,
      Scope scope) {
    Precision precision = TraceShape.precision(trace);
    var precisions = new Precisions(precision, runtime == null ? precision : runtime);
    List<Integer> layers = scope.layers(pack.architecture());
    Recorded recorded = read(trace, pack, layers, scope.tokens());
    Oracle oracle = oracle(pack, precisions, recorded);
    Oracle judge = precisions.alike() ? oracle : oracle(pack, Precisions.of(precision), recorded);
    if (pack.architecture().image() != null) {
      parts.see(recorded.patches().toFloats());
    }
    Noise noise =
        other == null
            ? null
            : Noise.measure(
                pack.architecture(),
                judge,
                recorded,
                read(other, pack, layers, scope.tokens()),
                layers);
    return new Sides(
        pack, trace, recorded, layers, precisions, oracle, judge, parts, noise, new TreeSet<>());
  }

  private static Oracle oracle(MoxiePackage pack, Precisions precisions, Recorded recorded) {
    var weights = Weights.asConverted(pack, precisions);
    var oracle = new Oracle(pack.architecture(), weights, precisions);
    return pack.architecture().image() == null ? oracle : oracle.seeing(recorded.patches());
  }

  private static Recorded read(Trace trace, MoxiePackage pack, List<Integer> layers, int tokens) {
    ScoredInputs.complete(trace, pack.architecture(), layers);
    TraceShape.require(trace, pack.architecture(), layers);
    if (pack.architecture().encoder() == null && !pack.architecture().looksAhead()) {
      trace.keepFirst(tokens);
    } else if (tokens < Integer.MAX_VALUE) {
      throw new UsageException(
          "--tokens",
          "all of a reference, in whose model what becomes of a token depends on those after it",
          String.valueOf(tokens),
          "leave it out");
    }
    return new Recorded(trace, pack.architecture());
  }

  /** The oracle of both, of a decoder one that reads what the encoder left in the trace. */
  Oracle oracle(int layer) {
    return reading(oracle, layer);
  }

  /** Likewise that of the trace. */
  Oracle judge(int layer) {
    return reading(judge, layer);
  }

  private Oracle reading(Oracle of, int layer) {
    return pack.architecture().layers().get(layer).cross() == null ? of : of.reading(left());
  }

  /** What the last layer of the encoder left. */
  Estimate left() {
    return recorded.get(pack.architecture().encoderLayers() - 1, Step.OUTPUT);
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

  /**
   * Whether both compute in float32, on weights that conversion took no more from than rounding.
   */
  boolean isSingle() {
    return precisions.equals(Precisions.of(Precision.F32)) && !isQuantised();
  }

  /** The first rows of something this runtime computed, against what was recorded. */
  Comparison compare(String step, float[] actual, String name, Estimate estimate, int rows) {
    float[] expected = recorded.floats(name, estimate.rows(), estimate.columns());
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
   * Where weights or either side are of lower precision, or quantised, each layer is held to its
   * own bound; over the depth their sum may exceed the values, and a single step's may, too.
   */
  Comparison tolerant(String what, Comparison comparison) {
    Manifest.Cast cast = pack.manifest().provenance().cast();
    boolean lower = !isSingle() || (cast != null && cast.dtype() == Dtype.BF16);
    if (!lower) {
      return comparison;
    }
    if (!comparison.telling()) {
      untelling.add(what);
    }
    return comparison.tolerant();
  }
}

package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.routing.TraceRouting;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What a package says and what a reference recorded.
 *
 * @param precision of the reference
 */
public record Evidence(MoxiePackage pack, Trace trace, Precision precision) {

  Architecture architecture() {
    return pack.architecture();
  }

  /** Whether the package holds every tensor that a model calls for, in its shape. */
  boolean has(Architecture model) {
    Map<String, Shape> shapes = new HashMap<>();
    for (IndexRow row : pack.rows()) {
      if (row.kind() == IndexRow.Kind.TENSOR) {
        shapes.put(row.name(), MoxiePackage.matrix(row));
      } else if (row.kind() == IndexRow.Kind.STACK) {
        shapes.put(row.name(), row.shape());
      }
    }
    return Tensors.ofForwardPass(model).stream()
        .allMatch(
            tensor -> {
              Shape shape = shapes.get(tensor.name());
              return shape != null && (tensor.stack() != null || shape.equals(tensor.shape()));
            });
  }

  int tokens() {
    return trace.inputIds().length;
  }

  /** The package's weights, as the reference read them. */
  Weights weights() {
    return Weights.asConverted(pack).readAs(precision);
  }

  /** The model as it would be under a supposition. */
  Oracle oracle(Suspect suspect) {
    return new Oracle(suspect.architecture(), suspect.weights(), precision);
  }

  /** The model as the package has it. */
  Oracle oracle() {
    return new Oracle(architecture(), weights(), precision);
  }

  FeedForward feedForward(int layer) {
    return architecture().layers().get(layer).feedForward();
  }

  /** A recorded matrix of a layer as wide as the hidden state. */
  float[] recorded(int layer, String step) {
    return trace.floats(name(layer, step), tokens(), architecture().hiddenSize());
  }

  /** The same, as what a step is computed from. */
  Estimate given(int layer, String step) {
    return Estimate.exact(recorded(layer, step), architecture().hiddenSize());
  }

  /** A recorded matrix of a layer's router. */
  Estimate router(int layer, String step, int columns) {
    return Estimate.exact(trace.floats(name(layer, step), tokens(), columns), columns);
  }

  /** Logits of a layer's router; where none were recorded, those that an oracle computes. */
  Estimate logits(Oracle oracle, int layer, FeedForward.MixtureOfExperts moe) {
    return has(layer, "router.logits")
        ? router(layer, "router.logits", moe.experts())
        : oracle.routerLogits(layer, given(layer, "moe.input"));
  }

  boolean has(int layer, String step) {
    return trace.has(name(layer, step));
  }

  List<int[]> experts(int layer, FeedForward.MixtureOfExperts moe) {
    return TraceRouting.experts(trace, layer, moe, tokens());
  }

  private static String name(int layer, String step) {
    return "layers." + layer + "." + step;
  }
}

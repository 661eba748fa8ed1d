package dev.moxie.verifier.reference;

import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a layer computes, by the trace's names, in the order of computation. */
final class LayerSteps {
  private LayerSteps() {}

  /** As the oracle computed it. */
  static Map<String, Estimate> of(Oracle.Layer layer) {
    Map<String, Estimate> steps = new LinkedHashMap<>();
    Oracle.Mixture mixture = layer.mixture();
    if (mixture != null) {
      steps.put("moe.input", mixture.normed());
      steps.put("router.logits", mixture.routerLogits());
      steps.put("router.weights", mixture.routed().weights());
      steps.put("experts.output", mixture.expertsOutput());
      steps.put("moe.output", mixture.output());
    }
    steps.put("output", layer.output());
    return steps;
  }

  /** As the runtime computed it. */
  static Map<String, float[]> of(PlainModel.LayerResult layer) {
    Map<String, float[]> steps = new LinkedHashMap<>();
    PlainModel.Mixture mixture = layer.mixture();
    if (mixture != null) {
      steps.put("moe.input", mixture.normed());
      steps.put("router.logits", mixture.routerLogits());
      steps.put("router.weights", weights(mixture.decisions()));
      steps.put("experts.output", mixture.expertsOutput());
      steps.put("moe.output", mixture.output());
    }
    steps.put("output", layer.output());
    return steps;
  }

  private static float[] weights(List<PlainModel.Decision> decisions) {
    int k = decisions.getFirst().weights().length;
    float[] weights = new float[decisions.size() * k];
    for (int t = 0; t < decisions.size(); t++) {
      System.arraycopy(decisions.get(t).weights(), 0, weights, t * k, k);
    }
    return weights;
  }
}

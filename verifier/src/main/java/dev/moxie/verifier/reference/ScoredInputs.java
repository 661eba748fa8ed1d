package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.oracle.Recorded;
import java.util.List;

/**
 * Layers that a reference runs with every expert on inputs times a score, which is 0 where an
 * expert was not chosen: TRACE.md says how such a trace differs. The steps that other traces have
 * follow from it.
 */
final class ScoredInputs {
  private ScoredInputs() {}

  /** Adds the steps that follow in some layers. */
  static void complete(Trace trace, Architecture architecture, List<Integer> layers) {
    for (int layer : layers) {
      String prefix = Recorded.prefix(architecture, layer);
      if (architecture.layers().get(layer).feedForward() instanceof FeedForward.MixtureOfExperts m
          && m.routing().weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_INPUT
          && !trace.has(prefix + "router.experts")) {
        choose(trace, prefix, m);
        sum(trace, prefix + "experts.output", m.experts(), architecture.hiddenSize());
      }
    }
  }

  private static void choose(Trace trace, String prefix, FeedForward.MixtureOfExperts m) {
    String name = prefix + "router.logits";
    int tokens = trace.inputIds().length;
    int k = m.routing().expertsPerToken();
    float[] scores = trace.floats(name, tokens, m.experts());
    int[] experts = new int[tokens * k];
    float[] weights = new float[tokens * k];
    for (int t = 0; t < tokens; t++) {
      int chosen = 0;
      for (int e = 0; e < m.experts(); e++) {
        float score = scores[t * m.experts() + e];
        if (score != 0) {
          if (chosen < k) {
            experts[t * k + chosen] = e;
            weights[t * k + chosen] = score;
          }
          chosen++;
        }
      }
      if (chosen != k) {
        throw new CorruptException(
            trace.path() + ", tensor \"" + name + "\", token " + t,
            k + " scores that are not 0, since there is no " + prefix + "router.experts",
            String.valueOf(chosen),
            "record the trace as TRACE.md says");
      }
    }
    trace.derive(prefix + "router.experts", k, experts);
    trace.derive(prefix + "router.weights", k, weights);
    trace.leaveOut(name);
  }

  /** Outputs of all experts, one expert after the other, become their sum. */
  private static void sum(Trace trace, String name, int experts, int width) {
    int tokens = trace.inputIds().length;
    if (!trace.has(name)
        || !trace.shape(name).equals(Shape.of((long) experts * tokens, width))
        || experts == 1) {
      return;
    }
    float[] all = trace.floats(name, experts * tokens, width);
    double[] sums = new double[tokens * width];
    for (int i = 0; i < all.length; i++) {
      sums[i % sums.length] += all[i];
    }
    float[] rounded = new float[sums.length];
    for (int i = 0; i < rounded.length; i++) {
      rounded[i] = (float) sums[i];
    }
    trace.derive(name, width, rounded);
  }
}

package dev.moxie.verifier.routing;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.trace.Trace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The experts that a trace says each token had. */
public final class TraceRouting {
  private TraceRouting() {}

  /**
   * One array [k] per token.
   *
   * @throws CorruptException if they are not k different experts of the layer
   */
  public static List<int[]> experts(
      Trace trace, int layer, FeedForward.MixtureOfExperts moe, int tokens) {
    int k = moe.routing().expertsPerToken();
    String name = "layers." + layer + ".router.experts";
    int[] flat = trace.ints(name, tokens, k);
    List<int[]> experts = new ArrayList<>();
    for (int t = 0; t < tokens; t++) {
      int[] chosen = Arrays.copyOfRange(flat, t * k, (t + 1) * k);
      boolean valid = Arrays.stream(chosen).allMatch(e -> e >= 0 && e < moe.experts());
      if (!valid || Arrays.stream(chosen).distinct().count() != k) {
        throw new CorruptException(
            trace.path() + ", tensor \"" + name + "\", token " + t,
            k + " different experts below " + moe.experts(),
            Arrays.toString(chosen),
            "the trace was not recorded from this model");
      }
      experts.add(chosen);
    }
    return experts;
  }
}

package dev.moxie.runtime.kernels;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Forward;
import java.util.List;

/**
 * What a number of tokens takes.
 *
 * @param logits where those of the last tokens lie, as many as were wanted
 * @param most tokens that could be computed at once
 * @param activations bytes of room that it takes
 */
record Program(List<Launch> launches, Place logits, int most, long activations) {
  /**
   * Reads a model's forward pass.
   *
   * @param where the package, for messages
   * @param wanted of how many of the tokens, the last ones, logits are
   */
  static Program read(
      String where,
      Architecture architecture,
      DeviceWeights weights,
      Shapes shapes,
      Room room,
      int tokens,
      int wanted) {
    var kernels = new Kernels(where, weights, shapes, room, tokens);
    kernels.requireOneAttention(architecture);
    var forward = new Forward<>(architecture, kernels);
    Value h = forward.hidden();
    Place logits = kernels.place(h);
    if (wanted > 0) {
      kernels.goOnWith(h, wanted);
      logits = kernels.place(forward.head(h));
    }
    return new Program(
        kernels.launches(), logits, kernels.mostTokens(), kernels.roomForActivations());
  }
}

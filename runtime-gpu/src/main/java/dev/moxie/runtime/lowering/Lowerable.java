package dev.moxie.runtime.lowering;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** Which architectures the graphs have operators for. */
final class Lowerable {
  private Lowerable() {}

  /**
   * Refuses what would be left out.
   *
   * @param where the package, for messages
   * @return how positions turn queries and keys, in every layer
   */
  static Rotary require(String where, Architecture model) {
    List<String> lacking = new ArrayList<>();
    note(lacking, model.centredNorms(), "centred norms");
    note(lacking, model.multipliers() != null, "multipliers");
    for (Architecture.Blocks run : model.blocks()) {
      note(lacking, run.attention());
      if (run.feedForward() instanceof FeedForward.MixtureOfExperts m) {
        note(lacking, m);
      }
    }
    List<Rotary> rotations =
        model.blocks().stream()
            .map(run -> run.attention().rotary())
            .filter(Objects::nonNull)
            .distinct()
            .toList();
    note(lacking, rotations.size() > 1, "rotary embeddings that differ between layers");
    if (!lacking.isEmpty() || rotations.isEmpty()) {
      throw new UnsupportedException(
          where,
          "parts that the fused graph has operators for",
          String.join(", ", lacking),
          "run it with --execution plain");
    }
    return rotations.getFirst();
  }

  private static void note(List<String> lacking, Attention attention) {
    note(lacking, attention.rotary() == null, "attention without positions");
    if (attention instanceof Attention.GroupedQuery a) {
      note(lacking, a.chunk() != null, "attention within chunks");
      note(lacking, a.biases() || a.outputBias(), "biases of attention");
      note(lacking, a.queryKeyNorm() != null, "norms of queries and keys");
      note(lacking, a.clip() != null, "clipped queries, keys and values");
      note(lacking, a.sinks(), "attention sinks");
      note(lacking, a.temperature() != null, "queries that grow with their position");
      Rotary rotary = a.rotary();
      note(
          lacking,
          rotary != null && rotary.dimensions() != a.headSize(),
          "positions that turn a part of a head");
    }
  }

  private static void note(List<String> lacking, FeedForward.MixtureOfExperts m) {
    Routing routing = m.routing();
    note(lacking, m.clamp() != null, "clamped experts");
    note(lacking, m.biases(), "biases of experts");
    note(lacking, m.shared() != null && m.shared().switched(), "switched shared experts");
    note(lacking, routing.bias() == Routing.Bias.LOGITS, "a bias of the router's logits");
    note(
        lacking,
        routing.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_INPUT,
        "weights of what experts read");
    Routing.Normalisation normalisation = routing.normalisation();
    note(
        lacking,
        normalisation != null && normalisation.least() != null,
        "a least sum of routing weights");
  }

  private static void note(List<String> lacking, boolean found, String words) {
    if (found && !lacking.contains(words)) {
      lacking.add(words);
    }
  }
}

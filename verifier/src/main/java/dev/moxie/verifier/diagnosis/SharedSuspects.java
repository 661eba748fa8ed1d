package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.FeedForward;
import java.util.stream.Stream;

/** What may be wrong with shared experts. */
final class SharedSuspects {
  private SharedSuspects() {}

  static Stream<Suspect> of(Evidence evidence, int layer, LayerInside inside) {
    var moe = (FeedForward.MixtureOfExperts) evidence.feedForward(layer);
    if (moe.shared() == null) {
      return Stream.of();
    }
    String prefix = "layers." + layer + ".shared.";
    double factor =
        Difference.quotient(
            inside.compute(evidence.oracle(), LayerInside.SHARED),
            inside.expected(LayerInside.SHARED));
    Stream<Suspect> fixed =
        Stream.of(
            Suspect.of(
                "shared experts that the reference does not have",
                evidence,
                b ->
                    b.feedForward() instanceof FeedForward.MixtureOfExperts m
                        ? b.withFeedForward(m.withoutShared())
                        : b),
            Suspect.of(
                "gate and up swapped in the shared experts",
                evidence,
                (row, stored) ->
                    stored.get(
                        row.name().startsWith(prefix)
                            ? Siblings.gateForUp(evidence.pack(), row)
                            : row)));
    return Stream.concat(
        fixed, Suspect.factor("shared experts", prefix + "down.weight", factor, evidence));
  }
}

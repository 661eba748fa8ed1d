package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.FeedForward;
import dev.moxie.verifier.oracle.Estimate;
import java.util.Objects;
import java.util.stream.Stream;

/** What may be wrong with the weights of a router. */
final class RouterSuspects {
  private RouterSuspects() {}

  static Stream<Suspect> of(Evidence evidence, int layer, LayerInside inside) {
    String name = "layers." + layer + ".router.weight";
    var moe = (FeedForward.MixtureOfExperts) evidence.feedForward(layer);
    Estimate actual = inside.compute(evidence.oracle(), LayerInside.ROUTER);
    Estimate expected = inside.expected(LayerInside.ROUTER);
    Stream<Suspect> moved =
        Columns.moved(actual, expected).stream()
            .map(
                sources ->
                    Suspect.of(
                        new Assignment("router rows", sources, moe.experts()).words(),
                        evidence,
                        (row, stored) ->
                            row.name().equals(name)
                                ? stored
                                    .get(row)
                                    .reordered(r -> Objects.requireNonNull(sources.get(r)))
                                : stored.get(row)));
    Stream<Suspect> scaled =
        Suspect.factor("router", name, Difference.quotient(actual, expected), evidence);
    return Stream.concat(moved, scaled);
  }
}

package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.FeedForward;
import dev.moxie.verifier.oracle.Estimate;
import java.util.Objects;
import java.util.stream.IntStream;
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
    Stream<Suspect> others =
        IntStream.range(0, evidence.architecture().layers().size())
            .filter(other -> other != layer)
            .filter(
                other ->
                    evidence.feedForward(other) instanceof FeedForward.MixtureOfExperts m
                        && m.experts() == moe.experts())
            .mapToObj(
                other ->
                    Suspect.of(
                        "layer %d with the router of layer %d".formatted(layer, other),
                        evidence,
                        (row, stored) ->
                            stored.get(
                                row.name().equals(name)
                                    ? Siblings.ofLayer(evidence.pack(), row, other)
                                    : row)));
    return Stream.of(moved, scaled, others).flatMap(suspects -> suspects);
  }
}

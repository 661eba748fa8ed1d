package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.lowering.RoutingGraph;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.Session;
import dev.moxie.runtime.ort.Tensor;
import dev.moxie.runtime.plain.Vectors;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/**
 * The routing equation as a graph, against the same equation in Java, for equations of any kind.
 */
class RoutingGraphTest {
  @Provide
  Arbitrary<FeedForward.MixtureOfExperts> equations() {
    Arbitrary<Routing.Groups> groups =
        Combinators.combine(
                Arbitraries.of(2, 3, 4, 6),
                Arbitraries.integers().between(1, 6),
                Arbitraries.of(Routing.Groups.Aggregate.class))
            .as(
                (count, kept, aggregate) ->
                    new Routing.Groups(
                        count,
                        Math.min(kept, count),
                        aggregate,
                        Routing.Groups.MaskValue.NEGATIVE_INFINITY));
    Arbitrary<Routing.Normalisation> normalisations =
        Combinators.combine(
                Arbitraries.of(0.0, 1e-20, 0.5), Arbitraries.of(1e-12, 0.75).injectNull(0.5))
            .as(Routing.Normalisation::new);
    Arbitrary<FeedForward.MixtureOfExperts> normalised =
        Combinators.combine(
                Arbitraries.integers().between(1, 2),
                Arbitraries.of(Routing.Score.SOFTMAX, Routing.Score.SIGMOID),
                Arbitraries.of(Routing.Bias.SELECTION, Routing.Bias.SELECTION_AND_WEIGHTS)
                    .injectNull(0.4),
                groups.injectNull(0.3),
                normalisations.injectNull(0.4),
                Arbitraries.of(1.0, 2.5, 16.0))
            .as(
                (k, score, bias, g, normalisation, scale) ->
                    moe(k, score, bias, g, normalisation, scale));
    Arbitrary<Routing.Mixer> mixers = Arbitraries.of(0.0, 0.02, 0.5).map(Routing.Mixer::new);
    return Combinators.combine(normalised, mixers.injectNull(0.8))
        .as((moe, mixer) -> mixer == null ? moe : mixed(moe, mixer));
  }

  private static FeedForward.MixtureOfExperts mixed(
      FeedForward.MixtureOfExperts moe, Routing.Mixer mixer) {
    return new FeedForward.MixtureOfExperts(
        moe.experts(), 1, FeedForward.Activation.SILU, moe.routing().withMixer(mixer), null);
  }

  private static FeedForward.MixtureOfExperts moe(
      int k,
      Routing.Score score,
      Routing.Bias bias,
      Routing.Groups groups,
      Routing.Normalisation normalisation,
      double scale) {
    return new FeedForward.MixtureOfExperts(
        12,
        1,
        FeedForward.Activation.SILU,
        new Routing(
            k,
            score,
            bias,
            groups,
            normalisation,
            scale,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32),
        null);
  }

  @Property(tries = 150)
  void theGraphRoutesAsTheEquation(
      @ForAll("equations") FeedForward.MixtureOfExperts moe, @ForAll long seed) {
    var random = new Random(seed);
    int tokens = 5;
    float[] logits = new float[tokens * 12];
    float[] bias = new float[12];
    for (int i = 0; i < logits.length; i++) {
      // Quarters, so that ties occur.
      logits[i] = random.nextInt(32) / 4f - 4;
      bias[i % 12] = random.nextInt(9) / 4f - 1;
    }
    FloatBuffer in = FloatTensors.allocate(logits.length);
    FloatBuffer biases = FloatTensors.allocate(bias.length);
    in.put(logits).flip();
    biases.put(bias).flip();
    int k = moe.routing().expertsPerToken();
    FloatBuffer chosen = FloatTensors.allocate(tokens, k);
    FloatBuffer weights = FloatTensors.allocate(tokens, k);
    try (Session session =
            Engine.session(RoutingGraph.of(moe), Path.of(""), new HostMemory()::addTo);
        Binding binding = session.binding();
        Tensor x = Engine.wrap(in, tokens, 12);
        Tensor b = Engine.wrap(biases, 12);
        Tensor experts = Engine.wrap(chosen, tokens, k);
        Tensor w = Engine.wrap(weights, tokens, k)) {
      Engine.run(
          binding, Map.of("router_logits", x, "bias", b), Map.of("chosen", experts, "weights", w));
    }
    List<float[]> routed = Vectors.route(moe.routing(), logits, 12, bias);
    for (int i = 0; i < tokens * k; i++) {
      assertEquals(routed.get(0)[i], chosen.get(i));
      float weight = routed.get(1)[i];
      assertEquals(weight, weights.get(i), 1e-5 * Math.abs(weight));
    }
  }
}

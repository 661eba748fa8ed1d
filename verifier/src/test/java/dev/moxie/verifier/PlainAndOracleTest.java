package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Weights;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The plain reader against the oracle, without any reference: on hidden states at random, every
 * step of every layer lies within the bound of float32.
 */
class PlainAndOracleTest {
  private static final int TOKENS = 12;

  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    return Fixtures.all().stream();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void everyStepOfEveryLayerLiesWithinTheBoundOfFloat32(Path checkpoint) {
    try (MoxiePackage pack = MoxiePackage.open(Packages.convert(checkpoint, folder.resolve("p")));
        var plain = new PlainModel(pack)) {
      Architecture architecture = pack.architecture();
      var oracle = new Oracle(architecture, Weights.asStored(pack), Precision.F32);
      for (int layer = 0; layer < architecture.layers().size(); layer++) {
        float[] hidden = hidden(architecture, layer);
        Estimate input = Estimate.exact(hidden, architecture.hiddenSize());
        PlainModel.LayerResult own = plain.layerAlone(layer, hidden, null);
        PlainModel.Mixture mixture = own.mixture();
        if (mixture == null) {
          requireWithin("output", own.output(), oracle.layer(layer, input, null).output());
          continue;
        }
        List<int[]> experts = mixture.decisions().stream().map(d -> d.experts()).toList();
        Oracle.Layer exact = oracle.layer(layer, input, experts);
        requireWithin("output", own.output(), exact.output());
        requireWithin(mixture, exact.mixture());
        requireAllowed(architecture, layer, experts, exact.mixture());
      }
      float[] hidden = hidden(architecture, -1);
      Estimate input = Estimate.exact(hidden, architecture.hiddenSize());
      requireWithin("logits", plain.head(hidden), oracle.head(input));
      long[] ids = {3, 14, 15, 92};
      assertEquals(
          0,
          Tolerance.compare(plain.embed(ids), oracle.embed(ids).toFloats(), oracle.embed(ids))
              .maxAbs());
    }
  }

  private static void requireWithin(PlainModel.Mixture own, Oracle.Mixture exact) {
    requireWithin("moe.input", own.normed(), exact.normed());
    requireWithin("router.logits", own.routerLogits(), exact.routerLogits());
    requireWithin("choice", own.choice(), exact.routed().choice());
    if (own.groups() != null) {
      requireWithin("groups", own.groups(), exact.routed().groups());
    }
    requireWithin("experts.output", own.expertsOutput(), exact.expertsOutput());
    requireWithin("moe.output", own.output(), exact.output());
  }

  private static void requireWithin(String step, float[] own, Estimate exact) {
    var comparison = Tolerance.compare(own, exact.toFloats(), exact);
    assertTrue(comparison.verdict().passed(), () -> step + ": " + comparison.worst());
  }

  private static void requireAllowed(
      Architecture architecture, int layer, List<int[]> experts, Oracle.Mixture exact) {
    var moe = (FeedForward.MixtureOfExperts) architecture.layers().get(layer).feedForward();
    var selection = new Selection(moe.routing(), exact.routed());
    for (int t = 0; t < experts.size(); t++) {
      assertTrue(selection.mayChoose(t, Selection.set(experts.get(t))), "token " + t);
    }
  }

  private static float[] hidden(Architecture architecture, int seed) {
    var random = new Random(seed);
    float[] hidden = new float[TOKENS * architecture.hiddenSize()];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = (float) random.nextGaussian();
    }
    return hidden;
  }
}

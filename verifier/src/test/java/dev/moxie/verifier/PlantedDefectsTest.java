package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.rebuilt;
import static dev.moxie.verifier.WrongPlans.renamed;
import static dev.moxie.verifier.WrongPlans.rotary;
import static dev.moxie.verifier.WrongPlans.routing;
import static dev.moxie.verifier.WrongPlans.swap;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Rotary;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Well-formed packages, digests and all, that are wrong: each is found against the source. What a
 * reference finds on its own is {@link MutationTableTest}'s.
 */
@Exhaustive
class PlantedDefectsTest {
  @TempDir Path folder;

  static Stream<Arguments> defects() {
    return Stream.of(
            defect("two experts swapped", renamed(PlantedDefectsTest::swapExperts)),
            defect("gate and up swapped in one expert", renamed(PlantedDefectsTest::swapGateUp)),
            defect("w1 and w3 confused", renamed(name -> swap(name, ".w1.", ".w3."))),
            defect("key and value swapped", renamed(name -> swap(name, "k_proj", "v_proj"))),
            defect("norms swapped", renamed(PlantedDefectsTest::swapNorms)),
            defect("layers swapped", renamed(name -> swap(name, "layers.0.", "layers.1."))),
            defect("wrong norm epsilon", rebuilt(a -> a.withNormEpsilon(10 * a.normEpsilon()))),
            defect("wrong rotary pairing", rotary(r -> r.withPairing(Rotary.Pairing.INTERLEAVED))),
            defect("wrong rotary base", rotary(r -> WrongPlans.theta(r, 1.01))),
            defect("normalisation dropped", routing(r -> r.withNormalisation(null))),
            defect("weights scaled", routing(r -> r.withScale(1.01))),
            defect("one expert fewer", routing(WrongPlans::oneFewer)))
        .flatMap(
            defect ->
                Stream.of(Fixtures.tinyMixtral(), Fixtures.randomMixtrals().getFirst())
                    .map(checkpoint -> Arguments.of(defect.get()[0], checkpoint, defect.get()[1])));
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("defects")
  void isFound(String name, Path checkpoint, UnaryOperator<ConversionPlan> defect) {
    Path pack = Packages.convert(checkpoint, folder.resolve("p"), defect);
    Report bySource = Verifier.verify(pack, checkpoint, List.of(), EnumSet.of(Execution.PLAIN));
    assertEquals(Verdict.PASS, bySource.integrity().verdict());
    assertEquals(Verdict.FAIL, bySource.verdict());
    assertFalse(bySource.equivalence().findings().isEmpty());
  }

  private static Arguments defect(String name, UnaryOperator<ConversionPlan> tamper) {
    return Arguments.of(name, tamper);
  }

  private static String swapExperts(String name) {
    return name.contains("layers.1.") ? swap(name, "experts.2.", "experts.5.") : name;
  }

  private static String swapGateUp(String name) {
    return name.contains("layers.0.") && name.contains("experts.1.")
        ? swap(name, ".w1.", ".w3.")
        : name;
  }

  private static String swapNorms(String name) {
    return swap(name, "input_layernorm", "post_attention_layernorm");
  }
}

package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.experts;
import static dev.moxie.verifier.WrongPlans.rotary;
import static dev.moxie.verifier.WrongPlans.routing;
import static dev.moxie.verifier.WrongPlans.without;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
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
 * Well-formed packages that are wrong, each named by a reference alone for what it looks like,
 * beside those of {@link MutationTableTest}, which are made from the trained checkpoints.
 */
@Exhaustive
class DeepSeekDefectsTest {
  @TempDir Path folder;

  private static final Path V3 = Fixtures.root().resolve("random/deepseek_v3");
  private static final Path V2 = Fixtures.root().resolve("random/deepseek_v2");
  private static final Path YARN = Fixtures.root().resolve("random/deepseek_v3_yarn");
  private static final Path BLOCKS = Fixtures.root().resolve("variants/v3-eight-groups-fp8");
  private static final Path OFFSET = Fixtures.root().resolve("variants/v3-ungrouped-unnormalised");

  static Stream<Arguments> wrongPlans() {
    return Stream.of(
            cases(
                "a bias added to the weights instead of to the selection only",
                routing(r -> r.withBias(Routing.Bias.SELECTION_AND_WEIGHTS)),
                V3,
                OFFSET),
            cases(
                "a dropped selection bias",
                plan ->
                    without(
                        routing(r -> r.withBias(null)).apply(plan),
                        name -> name.endsWith("router.bias")),
                V3,
                BLOCKS),
            cases(
                "routing scale 2.5 applied twice",
                routing(r -> r.withScale(r.scale() * r.scale())),
                V3,
                YARN),
            cases("dropped normalisation", routing(r -> r.withNormalisation(null)), V3, BLOCKS),
            cases(
                "wrong group count: 4 of 8 groups kept instead of 2 of 4",
                routing(r -> r.withGroups(groups(r, 8, 4))),
                V3,
                V2),
            cases(
                "wrong group count: 1 of 2 groups kept instead of 2 of 4",
                routing(r -> r.withGroups(groups(r, 2, 1))),
                V3,
                V2),
            cases("dropped groups: ", routing(r -> r.withGroups(null)), V3, V2, BLOCKS),
            cases(
                "a YaRN softmax factor of",
                rotary(r -> scaled(r, yarn(r).softmaxFactor() * yarn(r).softmaxFactor())),
                YARN,
                BLOCKS),
            cases(
                "group aggregate by maximum instead of sum of the top two",
                routing(r -> r.withGroups(aggregate(r, Routing.Groups.Aggregate.MAXIMUM))),
                V3,
                BLOCKS),
            cases(
                "shared experts skipped",
                plan ->
                    without(
                        experts(FeedForward.MixtureOfExperts::withoutShared).apply(plan),
                        name -> name.contains(".shared.")),
                V3,
                V2,
                BLOCKS),
            cases(
                "interleaved rotary dimensions read as halves",
                rotary(r -> r.withPairing(Rotary.Pairing.HALVES)),
                V3,
                V2,
                YARN),
            cases("the YaRN softmax factor ignored", rotary(r -> scaled(r, 1)), YARN, BLOCKS))
        .flatMap(cases -> cases);
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("wrongPlans")
  void aWrongPlanIsNamed(String name, Path checkpoint, UnaryOperator<ConversionPlan> defect) {
    assertNamed(name, checkpoint, Packages.convert(checkpoint, folder.resolve("p"), defect));
  }

  static Stream<Arguments> wrongWeights() {
    DamagedCheckpoint.Damage zeroBias = values("e_score_correction_bias", (i, values) -> 0f);
    DamagedCheckpoint.Damage roundedBias =
        values("e_score_correction_bias", (i, values) -> toBf16(values[i]));
    DamagedCheckpoint.Damage shifted =
        values("_scale_inv", (i, values) -> values[(i + 1) % values.length]);
    DamagedCheckpoint.Damage shiftedOnce =
        values("layers.1.self_attn.o_proj.weight_scale_inv", (i, v) -> v[(i + 1) % v.length]);
    return Stream.of(
            cases("a dropped selection bias", zeroBias, V3, BLOCKS),
            cases("a selection bias rounded to bf16", roundedBias, OFFSET),
            cases("the block scales of all its weights shifted one", shifted, BLOCKS),
            cases(
                "the block scales of layers.1.attention.output.weight shifted one",
                shiftedOnce,
                BLOCKS))
        .flatMap(cases -> cases);
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("wrongWeights")
  void wrongWeightsAreNamed(String name, Path checkpoint, DamagedCheckpoint.Damage defect)
      throws IOException {
    Path wrong = DamagedCheckpoint.copy(checkpoint, folder.resolve("c"), defect);
    assertNamed(name, checkpoint, Packages.convert(wrong, folder.resolve("p")));
  }

  private static void assertNamed(String name, Path checkpoint, Path pack) {
    Report report =
        Verifier.verify(
            pack,
            null,
            List.of(Fixtures.traces(checkpoint).getFirst()),
            EnumSet.of(Execution.PLAIN));
    assertEquals(Verdict.FAIL, report.verdict());
    List<String> sentences =
        report.references().stream().flatMap(r -> r.diagnosis().stream()).toList();
    assertTrue(
        sentences.stream().anyMatch(s -> s.contains("Looks like " + name)), sentences.toString());
    // No other suspect is named.
    assertTrue(
        sentences.stream()
            .filter(s -> s.startsWith("Looks like"))
            .allMatch(s -> s.contains("Looks like " + name)),
        sentences.toString());
  }

  private static Stream<Arguments> all(String name, Object defect, Path... checkpoints) {
    return Stream.of(checkpoints).map(checkpoint -> Arguments.of(name, checkpoint, defect));
  }

  private static Stream<Arguments> cases(
      String name, UnaryOperator<ConversionPlan> defect, Path... checkpoints) {
    return all(name, defect, checkpoints);
  }

  private static Stream<Arguments> cases(
      String name, DamagedCheckpoint.Damage defect, Path... checkpoints) {
    return all(name, defect, checkpoints);
  }

  private static Rotary scaled(Rotary r, double softmaxFactor) {
    return r.withScaling(yarn(r).withFactors(yarn(r).magnitude(), softmaxFactor));
  }

  private static Routing.Groups groups(Routing r, int count, int kept) {
    return new Routing.Groups(count, kept, r.groups().aggregate(), r.groups().maskValue());
  }

  private static Routing.Groups aggregate(Routing r, Routing.Groups.Aggregate aggregate) {
    return new Routing.Groups(
        r.groups().count(), r.groups().kept(), aggregate, r.groups().maskValue());
  }

  private static DamagedCheckpoint.Damage values(String ending, DamagedCheckpoint.Change change) {
    return DamagedCheckpoint.values(name -> name.endsWith(ending), change);
  }

  private static float toBf16(float value) {
    int bits = Float.floatToIntBits(value);
    return Float.intBitsToFloat((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
  }

  private static Rotary.Yarn yarn(Rotary rotary) {
    return (Rotary.Yarn) rotary.scaling();
  }
}

package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Routing;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.DecisionFiles;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** References of lower precision, and rounding measured on a second reference. */
@Exhaustive
class LowerPrecisionTest {
  @TempDir Path folder;

  private static Path reference(Path checkpoint, String dtype) {
    return Fixtures.root()
        .resolve("precision/" + checkpoint.getFileName() + "-" + dtype + ".safetensors");
  }

  private static Report verify(Path pack, Path reference, @Nullable Path noise) {
    return Verifier.verify(
        pack,
        null,
        List.of(reference),
        noise,
        Running.onCpu(EnumSet.of(Execution.PLAIN)),
        DecisionFiles.NONE,
        false,
        Scope.all());
  }

  static Stream<Arguments> references() {
    return Stream.of(Fixtures.tinyMixtral(), Fixtures.tinyDeepSeek())
        .flatMap(
            checkpoint ->
                Stream.of("float32", "bfloat16", "float16")
                    .map(dtype -> Arguments.of(checkpoint, dtype)));
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("references")
  void aRightPackageIsNotBlamed(Path checkpoint, String dtype) {
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    Report.Reference report =
        verify(pack, reference(checkpoint, dtype), null).references().getFirst();
    assertEquals(Verdict.PASS, report.verdict(), report.diagnosis().toString());
    assertEquals(0, report.routing().mismatch());
  }

  /**
   * A token whose errors share a cause: as independent ones they come to a sixth of what the fused
   * graph's are. The plain reader rounds too little to show it.
   */
  @Test
  void errorsWithACommonCauseAreNoAlarm() {
    Path checkpoint = Fixtures.tinyDeepSeek();
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    Report.Reference report =
        Verifier.verify(
                pack,
                null,
                List.of(reference(checkpoint, "common-cause")),
                EnumSet.of(Execution.FUSED))
            .references()
            .getFirst();
    assertEquals(Verdict.PASS, report.verdict(), report.diagnosis().toString());
    assertTrue(
        report.diagnosis().stream().anyMatch(s -> s.contains("sampled")),
        report.diagnosis().toString());
  }

  static Stream<Arguments> defects() {
    return Stream.of(
            defect(
                "experts 2 and 3 swapped",
                WrongPlans.renamed(
                    n ->
                        n.contains("layers.1.")
                            ? WrongPlans.swap(n, "experts.2.", "experts.3.")
                            : n)),
            defect("dropped normalisation", WrongPlans.routing(r -> r.withNormalisation(null))),
            defect(
                "key and value|layer 1 with the weights of layer 2",
                WrongPlans.renamed(n -> WrongPlans.swap(n, "layers.1.", "layers.2."))),
            defect(
                "scores by",
                WrongPlans.routing(
                    r ->
                        r.withScore(
                            r.score() == Routing.Score.SOFTMAX
                                ? Routing.Score.SIGMOID
                                : Routing.Score.SOFTMAX))))
        .flatMap(
            defect ->
                Stream.of(Fixtures.tinyMixtral(), Fixtures.tinyDeepSeek())
                    .map(checkpoint -> Arguments.of(defect.get()[0], checkpoint, defect.get()[1])));
  }

  private static Arguments defect(String name, UnaryOperator<ConversionPlan> tamper) {
    return Arguments.of(name, tamper);
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("defects")
  void aBfloat16ReferenceFindsAndNamesDefects(
      String name, Path checkpoint, UnaryOperator<ConversionPlan> defect) {
    Path pack = Packages.convert(checkpoint, folder.resolve("p"), defect);
    Report report = verify(pack, reference(checkpoint, "bfloat16"), null);
    assertEquals(Verdict.FAIL, report.verdict());
    List<String> sentences = report.references().getFirst().diagnosis();
    assertTrue(
        sentences.stream().anyMatch(s -> s.matches("Looks like (" + name + ").*")),
        sentences.toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"float32", "bfloat16"})
  void aRightPackageIsWithinTheMeasuredNoise(String dtype) {
    Path checkpoint = Fixtures.tinyMixtral();
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    Path shipped = Fixtures.traces(checkpoint).getFirst();
    Report.Reference report =
        verify(pack, shipped, reference(checkpoint, dtype)).references().getFirst();
    assertEquals(Verdict.PASS, report.verdict(), report.diagnosis().toString());
    double factor = report.noise().factors().get("output");
    assertTrue(dtype.equals("float32") ? factor < 1 : factor > 100, String.valueOf(factor));
  }

  @ParameterizedTest
  @ValueSource(doubles = {1.01, 0.999})
  void whatIsWrongWithThePackageIsNoNoise(double scale) {
    Path checkpoint = Fixtures.tinyMixtral();
    Path pack =
        Packages.convert(
            checkpoint,
            folder.resolve("p"),
            WrongPlans.routing(r -> r.withScale(scale * r.scale())));
    Path shipped = Fixtures.traces(checkpoint).getFirst();
    Report report = verify(pack, shipped, reference(checkpoint, "float32"));
    assertEquals(Verdict.FAIL, report.verdict());
  }

  @Test
  void aSecondReferenceThatIsTheFirstMeasuresNothing() {
    Path checkpoint = Fixtures.tinyMixtral();
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    Path shipped = Fixtures.traces(checkpoint).getFirst();
    assertThrows(CorruptException.class, () -> verify(pack, shipped, shipped));
  }

  @Test
  void aSecondReferenceOfOtherTokensIsRefused() {
    Path checkpoint = Fixtures.tinyMixtral();
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    List<Path> traces = Fixtures.traces(checkpoint);
    assertThrows(CorruptException.class, () -> verify(pack, traces.getFirst(), traces.getLast()));
  }
}

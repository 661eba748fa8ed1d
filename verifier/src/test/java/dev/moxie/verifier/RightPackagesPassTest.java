package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@Exhaustive
class RightPackagesPassTest {
  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    return Fixtures.all().stream();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void onEveryLevelAndInBothExecutions(Path checkpoint) {
    List<Path> traces = Fixtures.traces(checkpoint);
    Report report =
        Verifier.verify(
            Packages.convert(checkpoint, folder.resolve("p")),
            checkpoint,
            traces,
            Execution.of(Device.CPU));
    assertEquals(Verdict.PASS, report.verdict());
    assertEquals(report.equivalence().tensors(), report.equivalence().identical());
    assertEquals(traces.size(), report.references().size());
    for (Report.Reference reference : report.references()) {
      assertAll(
          () -> assertEquals(reference.routing().decisions(), reference.routing().match()),
          () -> assertEquals(reference.greedy().tokens(), reference.greedy().equal()),
          () -> assertTrue(reference.greedy().tokens() > 0),
          () -> assertTrue(reference.logits().maxRel() < 1e-4),
          () -> assertEquals(2, reference.executions().size()),
          () -> reference.layers().forEach(layer -> assertEquals("both", layer.oracle())));
    }
  }

  static Stream<Path> trainedCheckpoints() {
    return Stream.of(Fixtures.tinyMixtral(), Fixtures.tinyDeepSeek());
  }

  @ParameterizedTest
  @MethodSource("trainedCheckpoints")
  void spreadOverRanksAndFilesTheNumbersAreTheSame(Path checkpoint) {
    Path target = folder.resolve("p");
    var layout = new Manifest.Layout(3, 100_000L);
    Report report = verify(checkpoint, Packages.spread(checkpoint, target, layout));
    assertEquals(Verdict.PASS, report.verdict());
    for (Report.Reference reference : report.references()) {
      assertEquals(2, reference.executions().size());
      assertEquals(reference.greedy().tokens(), reference.greedy().equal());
    }
  }

  static Stream<Path> fp8Checkpoints() {
    return Stream.of(
        Fixtures.tinyDeepSeek(), Fixtures.root().resolve("variants/v3-eight-groups-fp8"));
  }

  @ParameterizedTest
  @MethodSource("fp8Checkpoints")
  void dequantisedToFloat32TheNumbersAreTheSame(Path checkpoint) {
    Report report = verify(checkpoint, Packages.cast(checkpoint, folder.resolve("p"), Dtype.F32));
    assertEquals(Verdict.PASS, report.verdict());
    assertEquals(0, report.equivalence().different());
    assertTrue(report.equivalence().withinBound() > report.equivalence().identical());
    for (Report.Reference reference : report.references()) {
      assertEquals(reference.routing().decisions(), reference.routing().match());
      assertEquals(reference.greedy().tokens(), reference.greedy().equal());
      assertTrue(reference.logits().maxRel() < 1e-4);
    }
  }

  static Stream<Path> roundable() {
    return Stream.concat(
        fp8Checkpoints(),
        Stream.of(
            Fixtures.root().resolve("variants/v3-yarn-halves"),
            Fixtures.root().resolve("variants/f32-three-experts")));
  }

  @ParameterizedTest
  @MethodSource("roundable")
  void roundedToBf16TheEffectIsMeasuredAndWithinABoundThatALosslessPackageIsNotGiven(
      Path checkpoint) {
    Report report = verify(checkpoint, Packages.cast(checkpoint, folder.resolve("b"), Dtype.BF16));
    assertEquals(Verdict.PASS, report.verdict());
    for (Report.Reference reference : report.references()) {
      assertTrue(reference.logits().maxRel() > 1e-5, "rounding shows");
      assertTrue(reference.logits().telling(), "and the bound is smaller than the logits");
      assertTrue(reference.tolerance().contains("rounded to BF16"));
    }
    Report lossless = verify(checkpoint, Packages.convert(checkpoint, folder.resolve("p")));
    double exact = lossless.references().getFirst().logits().bound();
    assertTrue(100 * exact < report.references().getFirst().logits().bound());
  }

  /** Every layer alone chooses alike; the rounding of the first moves a choice of the second. */
  @Test
  void whereRoundingLeadsToOtherExpertsLogitsAreComparedBefore() {
    Path checkpoint = Fixtures.root().resolve("variants/v3-yarn-halves-parting");
    Report report = verify(checkpoint, Packages.cast(checkpoint, folder.resolve("p"), Dtype.BF16));
    Report.Reference reference = report.references().getFirst();
    assertEquals(Verdict.PASS, report.verdict());
    assertEquals(reference.routing().decisions(), reference.routing().match());
    assertTrue(reference.logits().maxRel() > 1e-5, "tokens before it are compared");
    assertEquals(
        List.of(
            "From the tokens on, rounding led to other experts at token 4: logits were compared"
                + " before it, greedy tokens not judged."),
        reference.diagnosis());
  }

  private static Report verify(Path checkpoint, Path pack) {
    return Verifier.verify(pack, checkpoint, Fixtures.traces(checkpoint), Execution.of(Device.CPU));
  }
}

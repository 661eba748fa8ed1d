package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.Opening;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.TextReport;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.DecisionFiles;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What verification on CUDA does, without CUDA: its float16 graphs, whole and layer by layer, run
 * on the CPU provider, and references are held to the errors of both sides.
 */
class HalfPrecisionTest {
  private static final Running HALF =
      new Running(Device.CPU, Target.CUDA, EnumSet.of(Execution.FUSED));

  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    return Stream.of(
        Fixtures.tinyMixtral(),
        Fixtures.root().resolve("random/deepseek_v2"),
        Fixtures.tinyDeepSeek());
  }

  @Exhaustive
  @ParameterizedTest
  @MethodSource("checkpoints")
  void aRightPackageIsNotBlamed(Path checkpoint) {
    Report report = verify(convert(checkpoint), Fixtures.traces(checkpoint).getFirst(), true);
    assertEquals(Verdict.PASS, report.verdict(), TextReport.of(report));
    Report.Reference reference = report.references().getFirst();
    assertEquals(List.of("fused"), List.copyOf(reference.executions().keySet()));
    assertEquals(0, reference.routing().mismatch());
    assertTrue(reference.logits().maxRel() > 1e-5, "this would be float32");
    assertTrue(reference.tolerance().contains("f with u = 2^-11 for this runtime"));
    for (Report.Layer layer : reference.layers()) {
      layer.steps().values().forEach(step -> assertTrue(step.telling(), "bounds say something"));
    }
  }

  @Test
  void theReportSaysWhereAndInWhatNumbersWereComputed() {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    Report report = verify(convert(checkpoint), Fixtures.traces(checkpoint).getFirst(), false);
    assertEquals(new Report.Device("CPU", Dtype.F16, false, List.of()), report.device());
    assertTrue(TextReport.of(report).contains("device       CPU, which computes in F16"));
  }

  @Test
  void whatRoundingMayDecideIsNotPassedInSilence() {
    Path checkpoint = Fixtures.root().resolve("random/deepseek_v2");
    Report report = verify(convert(checkpoint), Fixtures.traces(checkpoint).getFirst(), true);
    String open = String.join("\n", report.notChecked());
    assertTrue(open.contains("where rounding may change experts: from token "), open);
    assertTrue(open.contains("invariance from token 0 of 24 on"), open);
  }

  /** How two references round says nothing of a third that rounds otherwise. */
  @Test
  void noiseOfReferencesIsRefused() {
    Path pack = convert(Fixtures.randomMixtrals().getFirst());
    Path trace = Fixtures.traces(Fixtures.randomMixtrals().getFirst()).getFirst();
    String message =
        assertThrows(
                UsageException.class,
                () ->
                    Verifier.verify(
                        pack,
                        null,
                        List.of(trace),
                        trace,
                        HALF,
                        DecisionFiles.NONE,
                        false,
                        Scope.all()))
            .getMessage();
    assertTrue(message.startsWith("--noise"), message);
  }

  /** On CUDA, where kernels are drawn anew in every process. */
  @Test
  void whatWouldNotOpenStandsInTheReportInsteadOfIt() {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    try (MoxiePackage pack = MoxiePackage.open(convert(checkpoint));
        Model right = Execution.FUSED.open(pack, Device.CPU, new Unproven())) {
      var opening = new Opening(pack, Execution.FUSED, Device.CUDA, Target.CPU, false);
      var proof = new ProofByReport(true);
      assertEquals(right, proof.require(opening, right));
      assertEquals(List.of(), proof.refusals());
      var wrong = new ChangedModel(right, (ids, logits) -> twice(logits));
      assertEquals(wrong, proof.require(opening, wrong));
      assertEquals(1, proof.refusals().size());
      assertTrue(proof.refusals().getFirst().contains("of the oracle's"));
      assertFalse(proof.untried().isEmpty(), "this model takes no 512 tokens");
    }
  }

  private static float[] twice(float[] logits) {
    float[] twice = new float[logits.length];
    for (int i = 0; i < twice.length; i++) {
      twice[i] = 2 * logits[i];
    }
    return twice;
  }

  private Path convert(Path checkpoint) {
    return Packages.convert(checkpoint, folder.resolve("p"));
  }

  private static Report verify(Path pack, Path trace, boolean invariance) {
    return Verifier.verify(
        pack, null, List.of(trace), null, HALF, DecisionFiles.NONE, invariance, Scope.all());
  }
}

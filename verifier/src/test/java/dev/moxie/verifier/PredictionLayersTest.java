package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.swap;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.diagnosis.Budget;
import dev.moxie.verifier.reference.Progress;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.DecisionFiles;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Layers for multi-token prediction against those that transformers computed. */
class PredictionLayersTest {
  private static final Path TINY = Fixtures.tinyDeepSeek();
  private static final Path EIGHT_GROUPS = Fixtures.root().resolve("variants/v3-eight-groups-fp8");

  @TempDir Path folder;

  static List<Path> checkpoints() {
    return List.of(TINY, EIGHT_GROUPS);
  }

  @Exhaustive
  @ParameterizedTest
  @MethodSource("checkpoints")
  void theLayerSaysWhatTransformersRecorded(Path checkpoint) {
    Report.Reference reference =
        verify(checkpoint, Packages.convert(checkpoint, folder.resolve("p")));
    assertEquals(1, reference.ends().prediction().size());
    assertTrue(reference.ends().prediction().getFirst().telling());
    assertEquals(Verdict.PASS, reference.verdict());
  }

  /** Rounding of weights changes experts there, which no trace records. */
  @Test
  void whereRoundingMayChooseOtherExpertsNothingIsHeldAgainstTheLayer() {
    Path pack = Packages.cast(TINY, folder.resolve("p"), Dtype.BF16);
    for (Path trace : Fixtures.traces(TINY)) {
      Report report = Verifier.verify(pack, null, List.of(trace), EnumSet.of(Execution.PLAIN));
      assertEquals(
          List.of(Verdict.PASS),
          report.references().getFirst().ends().prediction().stream()
              .map(Comparison::verdict)
              .toList());
    }
  }

  @Test
  void aLayerThatNoReferenceHasLogitsOfIsNamed() {
    Path pack = Packages.convert(TINY, folder.resolve("p"));
    // After one token there is none that such a layer could have foreseen.
    var scope = new Scope(List.of(), 1, Budget.usual(), Progress.NONE);
    Report report =
        Verifier.verify(
            pack,
            null,
            List.of(Fixtures.traces(TINY).getFirst()),
            null,
            Running.onCpu(EnumSet.of(Execution.PLAIN)),
            DecisionFiles.NONE,
            false,
            scope);
    assertTrue(
        report.notChecked().stream().anyMatch(open -> open.contains("multi-token prediction")),
        report.notChecked()::toString);
  }

  @ParameterizedTest
  @CsvSource({"enorm, hnorm", "shared_experts.gate_proj, shared_experts.up_proj"})
  void aLayerWhoseTensorsChangedPlacesIsFound(String one, String other) {
    Path pack =
        Packages.convert(
            EIGHT_GROUPS,
            folder.resolve("p"),
            WrongPlans.renamed(
                name ->
                    name.startsWith("model.layers.2.")
                            && (name.contains(one) || name.contains(other))
                        ? swap(name, one, other)
                        : name));
    Report.Reference reference = verify(EIGHT_GROUPS, pack);
    assertEquals(Verdict.FAIL, reference.verdict());
    assertEquals(
        List.of(Verdict.FAIL),
        reference.ends().prediction().stream().map(compared -> compared.verdict()).toList());
    assertTrue(reference.layers().stream().allMatch(layer -> layer.verdict().passed()));
  }

  private static Report.Reference verify(Path checkpoint, Path pack) {
    return Verifier.verify(
            pack,
            null,
            List.of(Fixtures.traces(checkpoint).getFirst()),
            EnumSet.of(Execution.PLAIN))
        .references()
        .getFirst();
  }
}

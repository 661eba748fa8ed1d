package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.swap;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.diagnosis.Budget;
import dev.moxie.verifier.reference.Progress;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.DecisionFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Layers for multi-token prediction against those that transformers computed. */
class PredictionLayersTest {
  private static final Path TINY = Fixtures.tinyDeepSeek();
  private static final Path EIGHT_GROUPS = Fixtures.root().resolve("variants/v3-eight-groups-fp8");
  private static final Path QWEN = Fixtures.root().resolve("random/qwen3_5_moe_mtp");
  private static final Path NEXT = Fixtures.root().resolve("random/qwen3_next_mtp");
  private static final Path GLM = Fixtures.root().resolve("random/glm4_moe_mtp");
  private static final Path LITE = Fixtures.root().resolve("random/glm4_moe_lite_mtp");

  @TempDir Path folder;

  static List<Path> checkpoints() {
    return List.of(TINY, EIGHT_GROUPS, QWEN, NEXT, GLM, LITE);
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
  @CsvSource({
    "variants/v3-eight-groups-fp8, model.layers.2., enorm, hnorm",
    "variants/v3-eight-groups-fp8, model.layers.2., shared_experts.gate_proj,"
        + " shared_experts.up_proj",
    "random/qwen3_5_moe_mtp, mtp., pre_fc_norm_embedding, pre_fc_norm_hidden",
    "random/qwen3_5_moe_mtp, mtp., mtp.pre_fc_norm_hidden, mtp.norm",
    "random/qwen3_5_moe_mtp, mtp., input_layernorm, post_attention_layernorm",
    "random/qwen3_5_moe_mtp, mtp., q_norm, k_norm",
    "random/qwen3_5_moe_mtp, mtp., k_proj, v_proj",
    "random/qwen3_5_moe_mtp, mtp., .experts.2., .experts.3.",
    "random/qwen3_5_moe_mtp, mtp., shared_expert.gate_proj, shared_expert.up_proj",
    "random/qwen3_next_mtp, mtp., pre_fc_norm_embedding, pre_fc_norm_hidden",
    "random/qwen3_next_mtp, mtp., shared_expert.gate_proj, shared_expert.up_proj",
    "random/glm4_moe_mtp, model.layers.3., enorm, hnorm",
    "random/glm4_moe_mtp, model.layers.3., k_proj, v_proj",
    "random/glm4_moe_mtp, model.layers.3., .experts.2., .experts.3.",
    "random/glm4_moe_lite_mtp, model.layers.2., enorm, hnorm",
    "random/glm4_moe_lite_mtp, model.layers.2., shared_experts.gate_proj, shared_experts.up_proj"
  })
  void aLayerWhoseTensorsChangedPlacesIsFound(
      String fixture, String prefix, String one, String other) {
    Path checkpoint = Fixtures.root().resolve(fixture);
    Path pack =
        Packages.convert(
            checkpoint,
            folder.resolve("p"),
            WrongPlans.renamed(
                name ->
                    name.startsWith(prefix) && (name.contains(one) || name.contains(other))
                        ? swap(name, one, other)
                        : name));
    requireFoundInTheLayerAlone(checkpoint, pack);
  }

  /** A projection of both that takes the hidden state first. */
  @ParameterizedTest
  @ValueSource(strings = {"qwen3_5_moe_mtp", "qwen3_next_mtp"})
  void halvesOfTheProjectionThatChangedPlacesAreFound(String name) throws IOException {
    Path checkpoint = Fixtures.root().resolve("random").resolve(name);
    String projection = "mtp.fc.weight";
    Shape shape = Checkpoint.open(checkpoint).tensors().get(projection).shape();
    int width = Math.toIntExact(shape.dim(1));
    DamagedCheckpoint.Damage swapped =
        DamagedCheckpoint.values(
            projection::equals, (i, old) -> old[i - i % width + (i % width + width / 2) % width]);
    Path damaged = DamagedCheckpoint.copy(checkpoint, folder.resolve("c"), swapped);
    requireFoundInTheLayerAlone(checkpoint, Packages.convert(damaged, folder.resolve("p")));
  }

  private static void requireFoundInTheLayerAlone(Path checkpoint, Path pack) {
    Report.Reference reference = verify(checkpoint, pack);
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

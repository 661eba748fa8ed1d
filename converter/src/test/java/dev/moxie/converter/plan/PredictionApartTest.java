package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.inspect.Inspection;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** Layers for multi-token prediction that are not numbered after the decoder's. */
class PredictionApartTest {
  private static final Path QWEN = Fixtures.root().resolve("random/qwen3_5_moe_mtp");
  private static final Path NEXT = Fixtures.root().resolve("random/qwen3_next_mtp");

  @TempDir Path folder;

  private static ConversionPlan plan(Path checkpoint, Conversion.@Nullable Prediction prediction) {
    return Planner.plan(Checkpoint.open(checkpoint), EditedCheckpoint.lossless(prediction));
  }

  private static String refusal(Path checkpoint, Conversion.Prediction prediction) {
    return String.valueOf(
        assertThrows(InvalidInputException.class, () -> plan(checkpoint, prediction)).getMessage());
  }

  private static List<SourceTensor> ahead(Path checkpoint) {
    return Checkpoint.open(checkpoint).tensors().values().stream()
        .filter(tensor -> tensor.name().startsWith("mtp."))
        .toList();
  }

  @ParameterizedTest
  @ValueSource(strings = {"qwen3_5_moe_mtp", "qwen3_next_mtp"})
  void theLayerAttendsHasExpertsAndNoTablesOfItsOwn(String name) {
    Path checkpoint = Fixtures.root().resolve("random").resolve(name);
    ConversionPlan plan = plan(checkpoint, Conversion.Prediction.KEEP);
    Architecture.Prediction prediction = Objects.requireNonNull(plan.architecture().prediction());
    assertEquals(1, prediction.count());
    assertTrue(((Attention.GroupedQuery) prediction.attention()).outputGate());
    assertTrue(prediction.feedForward() instanceof FeedForward.MixtureOfExperts);
    long elements = ahead(checkpoint).stream().mapToLong(t -> t.shape().elements()).sum();
    assertEquals(elements, Inspection.of(checkpoint, Set.of()).parameters().prediction());
  }

  /** What config.json alone declares is counted as releases have it, without copies of tables. */
  @Test
  void theCountThatAConfigDeclaresIsThatOfTheTensors() {
    long elements = ahead(QWEN).stream().mapToLong(t -> t.shape().elements()).sum();
    Inspection inspection = Inspection.of(QWEN.resolve("config.json"), Set.of());
    assertEquals(elements, inspection.parameters().prediction());
  }

  @Test
  void theUserDecidesAndTheErrorNamesTheTensors() {
    String message = assertThrows(UsageException.class, () -> plan(QWEN, null)).getMessage();
    assertTrue(message.contains("%d tensors, from mtp.".formatted(ahead(QWEN).size())), message);
  }

  @Test
  void whatIsDroppedIsDeclaredNoMore() {
    MoxiePackage pack =
        EditedCheckpoint.convert(
            QWEN, folder.resolve("p"), EditedCheckpoint.lossless(Conversion.Prediction.DROP));
    try (pack) {
      Exporter.export(pack, folder.resolve("x"), 1, Progress.NONE);
    }
    assertEquals(List.of(), ahead(folder.resolve("x")));
    ConversionPlan again = plan(folder.resolve("x"), null);
    assertEquals(Manifest.PredictionLayers.NONE, again.prediction());
  }

  /** Qwen3-Next's release declares none. */
  @Test
  void aLayerThatConfigJsonDoesNotDeclareIsKeptAllTheSame() {
    var edited = EditedCheckpoint.of(NEXT, folder.resolve("c"));
    edited.config(json -> json.put("num_nextn_predict_layers", 1)).write();
    Architecture declared = plan(edited.folder(), Conversion.Prediction.KEEP).architecture();
    edited.config(json -> json.remove("num_nextn_predict_layers"));
    assertEquals(declared, plan(edited.folder(), Conversion.Prediction.KEEP).architecture());
  }

  @Test
  void twoLayersWouldShareAProjectionAndAreRefused() {
    var edited = EditedCheckpoint.of(QWEN, folder.resolve("c"));
    ahead(QWEN).stream()
        .filter(tensor -> tensor.name().startsWith("mtp.layers.0."))
        .forEach(
            tensor ->
                edited.put(
                    tensor.name().replace("layers.0.", "layers.1."),
                    tensor.dtype(),
                    tensor.shape(),
                    edited.bytes(tensor.name())));
    edited.write();
    String message = refusal(edited.folder(), Conversion.Prediction.KEEP);
    assertTrue(message.contains("mtp.fc.weight in common, found 2"), message);
    assertEquals(
        Manifest.PredictionLayers.DROPPED,
        plan(edited.folder(), Conversion.Prediction.DROP).prediction());
  }

  @Test
  void aLayerThatLacksATensorIsNamedByIt() {
    var edited = EditedCheckpoint.of(QWEN, folder.resolve("c"));
    edited.rename(name -> name.equals("mtp.fc.weight") ? null : name).write();
    String message = refusal(edited.folder(), Conversion.Prediction.KEEP);
    assertTrue(message.contains("expected tensor mtp.fc.weight"), message);
  }

  /** It would have the number of the layer for prediction. */
  @Test
  void aDecoderLayerThatIsNotCountedIsNotDroppedWithIt() {
    var edited = EditedCheckpoint.of(NEXT, folder.resolve("c"));
    int layers = plan(NEXT, Conversion.Prediction.DROP).architecture().layers().size();
    edited.config(json -> json.put("num_hidden_layers", layers - 1).remove("layer_types"));
    edited.write();
    String message = refusal(edited.folder(), Conversion.Prediction.DROP);
    assertTrue(message.contains("layers from %d on".formatted(layers - 1)), message);
  }

  @Test
  void tablesOfItsOwnAreRefused() {
    var edited = EditedCheckpoint.of(QWEN, folder.resolve("c"));
    edited.config(
        json -> ((ObjectNode) json.get("text_config")).put("mtp_use_dedicated_embeddings", true));
    edited.write();
    String message = refusal(edited.folder(), Conversion.Prediction.KEEP);
    assertTrue(message.contains("mtp_use_dedicated_embeddings"), message);
  }
}

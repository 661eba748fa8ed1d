package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@Exhaustive
class DeepSeekConversionTest {
  private static final String SCALES =
      "model.layers.1.mlp.shared_experts.gate_proj.weight_scale_inv";

  @TempDir Path folder;

  private static Conversion conversion(
      Conversion.@Nullable Prediction prediction, @Nullable Dtype dtype) {
    return new Conversion(
        Set.of(),
        prediction,
        dtype == null ? null : new Manifest.Cast(dtype, Manifest.Rounding.NEAREST_EVEN));
  }

  private static ConversionPlan plan(Path checkpoint, Conversion conversion) {
    return Planner.plan(Checkpoint.open(checkpoint), conversion);
  }

  private MoxiePackage convert(Path checkpoint, Conversion conversion) {
    Executor.execute(
        plan(checkpoint, conversion).contents(),
        folder.resolve("p"),
        new Manifest.Producer("test", "0"),
        2,
        false,
        Progress.NONE);
    return MoxiePackage.open(folder.resolve("p"));
  }

  @Test
  void presentPredictionLayersNeedADecisionThatTheErrorExplains() {
    String message =
        assertThrows(UsageException.class, () -> plan(Fixtures.tinyDeepSeek(), Conversion.LOSSLESS))
            .getMessage();
    for (String word : List.of("model.layers.4.", "--mtp keep", "--mtp drop", "bytes", "%")) {
      assertTrue(message.contains(word), message);
    }
  }

  @Test
  void keptPredictionLayersAreInThePackageAndDroppedOnesAreNot() {
    ConversionPlan kept =
        plan(Fixtures.tinyDeepSeek(), conversion(Conversion.Prediction.KEEP, null));
    assertEquals(Manifest.PredictionLayers.KEPT, kept.provenance().prediction());
    assertEquals(1, kept.architecture().prediction().count());
    ConversionPlan dropped =
        plan(Fixtures.tinyDeepSeek(), conversion(Conversion.Prediction.DROP, null));
    assertEquals(Manifest.PredictionLayers.DROPPED, dropped.provenance().prediction());
    assertNull(dropped.architecture().prediction());
    assertTrue(dropped.bytes() < kept.bytes());
  }

  @Test
  void declaredButMissingPredictionLayersAreRecordedAndNeedNoDecision() {
    ConversionPlan plan = plan(Fixtures.root().resolve("random/deepseek_v3"), Conversion.LOSSLESS);
    assertEquals(Manifest.PredictionLayers.ABSENT, plan.provenance().prediction());
    assertNull(plan.architecture().prediction());
  }

  @Test
  void fp8ValuesAndTheirScalesStayAsTheyAre() {
    try (MoxiePackage pack =
        convert(Fixtures.tinyDeepSeek(), conversion(Conversion.Prediction.KEEP, null))) {
      assertEquals(List.of("fp8_block_128x128", "plain"), pack.manifest().encodings());
      assertNull(pack.manifest().provenance().cast());
      IndexRow stack = pack.stack("layers.2.experts.gate_up.weight").getFirst();
      assertEquals(Dtype.F8_E4M3, stack.dtype());
      IndexRow scales = pack.stack("layers.2.experts.gate_up.scale").getFirst();
      assertEquals(Shape.of(16, 2, 2), scales.shape());
      assertEquals(stack.shard(), scales.shard());
      assertEquals(Dtype.F32, pack.tensor("layers.2.router.bias").dtype());
    }
  }

  @Test
  void castingLeavesRoutersAndBiasesAlone() {
    try (MoxiePackage pack =
        convert(Fixtures.tinyDeepSeek(), conversion(Conversion.Prediction.DROP, Dtype.F32))) {
      assertEquals(Dtype.BF16, pack.tensor("layers.1.router.weight").dtype());
      assertEquals(Dtype.F32, pack.tensor("layers.1.router.bias").dtype());
      for (IndexRow row : pack.rows()) {
        if (row.role() != Role.ROUTER && row.role() != Role.PADDING) {
          assertEquals(Dtype.F32, row.dtype(), row.name());
        }
        assertFalse(row.role() == Role.SCALE, row.name());
      }
    }
  }

  @Test
  void aMissingScaleIsNamed() throws IOException {
    assertRefused(tensors -> tensors.filter(t -> !t.name().equals(SCALES)), true);
  }

  @Test
  void aMisshapenScaleIsNamed() throws IOException {
    assertRefused(
        tensors ->
            tensors.map(
                t ->
                    t.name().equals(SCALES)
                        ? new SafetensorsWriter.Tensor(SCALES, t.dtype(), Shape.of(2, 1), t.data())
                        : t),
        false);
  }

  @Test
  void aScaleOfAnotherDtypeIsNamed() throws IOException {
    assertRefused(
        tensors ->
            tensors.map(
                t ->
                    t.name().equals(SCALES)
                        ? new SafetensorsWriter.Tensor(SCALES, Dtype.I32, t.shape(), t.data())
                        : t),
        false);
  }

  @Test
  void aScaleBesideAnUnscaledWeightIsNamed() throws IOException {
    String extra = "model.layers.1.mlp.gate.weight_scale_inv";
    Path checkpoint = copy();
    rewrite(
        checkpoint,
        tensors ->
            Stream.concat(
                tensors,
                Stream.of(
                    new SafetensorsWriter.Tensor(
                        extra, Dtype.F32, Shape.of(1, 2), ByteBuffer.allocate(8)))));
    edit(checkpoint, "\"weight_map\": {", "\"weight_map\": {\"" + extra + "\": \"" + FILE + "\",");
    assertNames(checkpoint, extra);
  }

  @Test
  void fp8WeightsWithoutADeclarationAreRefused() throws IOException {
    Path checkpoint = copy();
    Path config = checkpoint.resolve("config.json");
    Files.writeString(
        config, Files.readString(config).replace("\"quantization_config\"", "\"unsloth_fixed\""));
    assertNames(checkpoint, "quantization_config");
  }

  /**
   * As Moonlight and Kimi-K2 are released: they follow from the config, and are kept all the same.
   */
  @Test
  void storedRotaryFrequenciesAreKeptAndNeverCast() throws IOException {
    Path checkpoint = copy();
    String name = "model.layers.1.self_attn.rotary_emb.inv_freq";
    rewrite(
        checkpoint,
        tensors ->
            Stream.concat(
                tensors,
                Stream.of(
                    new SafetensorsWriter.Tensor(
                        name, Dtype.F32, Shape.of(8), ByteBuffer.allocate(32)))));
    edit(checkpoint, "\"weight_map\": {", "\"weight_map\": {\"" + name + "\": \"" + FILE + "\",");
    try (MoxiePackage pack =
        convert(checkpoint, conversion(Conversion.Prediction.DROP, Dtype.BF16))) {
      IndexRow row = pack.tensor("opaque." + FILE + "/" + name);
      assertEquals(Dtype.F32, row.dtype());
      assertEquals(IndexRow.COPY, row.transform());
    }
  }

  static Stream<Arguments> acceptable() {
    return Stream.of(
        // Kimi-K2; DeepSeek-V3.1, whose trainer rounded scales to powers of two.
        Arguments.of("\"model_type\": \"deepseek_v3\"", "\"model_type\": \"kimi_k2\""),
        Arguments.of("\"fmt\": \"e4m3\",", "\"fmt\": \"e4m3\", \"scale_fmt\": \"ue8m0\","),
        Arguments.of("\"n_group\": 4,", "\"n_group\": 4, \"moe_layer_freq\": 1, \"ep_size\": 1,"),
        Arguments.of("  \"head_dim\": 16,\n", ""));
  }

  @ParameterizedTest
  @MethodSource("acceptable")
  void whatReleasesSayDifferentlyIsAccepted(String from, String to) throws IOException {
    Path checkpoint = copy();
    Path config = checkpoint.resolve("config.json");
    String text = Files.readString(config);
    assertTrue(text.contains(from), from);
    Files.writeString(config, text.replace(from, to));
    assertEquals(
        plan(Fixtures.tinyDeepSeek(), conversion(Conversion.Prediction.KEEP, null)).architecture(),
        plan(checkpoint, conversion(Conversion.Prediction.KEEP, null)).architecture());
  }

  /** A config chooses how many layers it declares, and must not choose how long that takes. */
  @Test
  void aHugeNumberOfDeclaredPredictionLayersTakesNoTime() throws IOException {
    Path checkpoint = copy();
    Path config = checkpoint.resolve("config.json");
    Files.writeString(
        config,
        Files.readString(config)
            .replace("predict_layers\": 1", "predict_layers\": 16384")
            .replace("routed_experts\": 16", "routed_experts\": 65536"));
    assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () ->
            assertThrows(
                InvalidInputException.class,
                () -> plan(checkpoint, conversion(Conversion.Prediction.KEEP, null))));
  }

  static Stream<Arguments> configs() {
    return Stream.of(
        Arguments.of("\"n_group\": 4", "\"n_group\": 3", "routing.groups.count"),
        Arguments.of("\"topk_group\": 2", "\"topk_group\": 5", "topk_group"),
        Arguments.of("\"noaux_tc\"", "\"greedy\"", "topk_method"),
        Arguments.of("\"sigmoid\"", "\"softmax\"", "scoring_func"),
        Arguments.of("\"attention_bias\": false", "\"attention_bias\": true", "attention_bias"),
        Arguments.of("\"qk_head_dim\": 48", "\"qk_head_dim\": 64", "qk_head_dim"),
        Arguments.of("key_value_heads\": 4", "key_value_heads\": 2", "num_key_value_heads"),
        Arguments.of("replace\": 1", "replace\": 9", "first_k_dense_replace"),
        Arguments.of("\"e4m3\"", "\"e5m2\"", "fmt"),
        Arguments.of("\"dynamic\"", "\"static\"", "activation_scheme"),
        Arguments.of("\"quant_method\": \"fp8\"", "\"quant_method\": \"awq\"", "quant_method"),
        Arguments.of("      128,\n", "      64,\n", "which the blocks of"),
        Arguments.of("      128,\n", "      12800,\n", "weight_block_size"),
        Arguments.of(
            "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"ntk\"}", "rope_type"),
        Arguments.of(
            "\"rope_scaling\": null",
            "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}",
            "original_max_position_embeddings"),
        Arguments.of(
            "\"rope_scaling\": null",
            "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2, \"mscale\": 0.7}",
            "mscale"),
        Arguments.of(
            "\"rope_scaling\": null",
            "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2, \"swirl\": 1,"
                + " \"original_max_position_embeddings\": 64}",
            "swirl"));
  }

  @ParameterizedTest
  @MethodSource("configs")
  void aConfigThatMeansSomethingElseIsRefused(String from, String to, String culprit)
      throws IOException {
    Path checkpoint = copy();
    Path config = checkpoint.resolve("config.json");
    String text = Files.readString(config);
    assertTrue(text.contains(from), from);
    Files.writeString(config, text.replace(from, to));
    assertNames(checkpoint, culprit);
  }

  private static final String FILE = "model-00002-of-00005.safetensors";

  private void assertRefused(UnaryOperator<Stream<SafetensorsWriter.Tensor>> change, boolean gone)
      throws IOException {
    Path checkpoint = copy();
    rewrite(checkpoint, change);
    if (gone) {
      edit(checkpoint, "\"" + SCALES + "\": \"" + FILE + "\",", "");
    }
    assertNames(checkpoint, SCALES);
  }

  private static void assertNames(Path checkpoint, String culprit) {
    String message =
        assertThrows(
                InvalidInputException.class,
                () -> plan(checkpoint, conversion(Conversion.Prediction.KEEP, null)))
            .getMessage();
    assertTrue(message.contains(culprit), message);
  }

  private Path copy() throws IOException {
    Path checkpoint = Files.createDirectories(folder.resolve("c"));
    try (Stream<Path> files = Files.list(Fixtures.tinyDeepSeek())) {
      for (Path file : files.toList()) {
        Files.copy(file, checkpoint.resolve(file.getFileName()));
      }
    }
    return checkpoint;
  }

  private static void edit(Path checkpoint, String from, String to) throws IOException {
    Path index = checkpoint.resolve("model.safetensors.index.json");
    String text = Files.readString(index);
    assertTrue(text.contains(from), from);
    Files.writeString(index, text.replace(from, to));
  }

  private static void rewrite(
      Path checkpoint, UnaryOperator<Stream<SafetensorsWriter.Tensor>> change) throws IOException {
    Path path = checkpoint.resolve(FILE);
    List<SafetensorsWriter.Tensor> tensors;
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      tensors =
          change
              .apply(
                  file.header().tensors().stream()
                      .map(
                          info ->
                              new SafetensorsWriter.Tensor(
                                  info.name(),
                                  info.dtype(),
                                  info.shape(),
                                  ByteBuffer.wrap(
                                      file.data(info)
                                          .toArray(java.lang.foreign.ValueLayout.JAVA_BYTE)))))
              .toList();
    }
    SafetensorsWriter.write(path, Map.of("format", "pt"), tensors);
  }
}

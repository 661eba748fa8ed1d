package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.export.Exporter;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** Checkpoints that the library compressed-tensors wrote. */
class CompressedTensorsConversionTest {
  private static final Path INT4 = Fixtures.root().resolve("random/kimi_k2_int4");
  private static final Path FP8 = Fixtures.root().resolve("random/glm4_moe_fp8ct");
  private static final String EXPERT = "model.layers.1.mlp.experts.3.up_proj.weight_";
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  @TempDir Path folder;

  private MoxiePackage convert(Path checkpoint, @Nullable Dtype cast) {
    var conversion =
        new Conversion(
            Set.of(),
            Conversion.Prediction.KEEP,
            cast == null ? null : new Manifest.Cast(cast, Manifest.Rounding.NEAREST_EVEN));
    return EditedCheckpoint.convert(checkpoint, folder.resolve("p" + cast), conversion);
  }

  private EditedCheckpoint edited(Path checkpoint) {
    return EditedCheckpoint.of(checkpoint, folder.resolve("c"));
  }

  @Test
  void eightNumbersToAValueAreReadAsTheyAreWritten() throws IOException {
    Path checkpoint = edited(INT4).folder();
    try (MoxiePackage pack = convert(checkpoint, null);
        SafetensorsFile source = SafetensorsFile.open(checkpoint.resolve("model.safetensors"))) {
      assertEquals(List.of("int4_group_32", "plain"), pack.manifest().encodings());
      MemorySegment packed = source.data(source.require(EXPERT + "packed"));
      MemorySegment scales = source.data(source.require(EXPERT + "scale"));
      IndexRow row = pack.slice("layers.1.experts.gate_up.weight", 3, Projection.UP);
      Elements elements = pack.elements(row);
      for (int r = 0; r < 32; r++) {
        for (int c = 0; c < 64; c++) {
          int code = packed.get(INT, (r * 8L + c / 8) * 4) >>> (4 * (c % 8)) & 15;
          float scale = Float.intBitsToFloat(scales.get(SHORT, (r * 2L + c / 32) * 2) << 16);
          assertEquals((code - 8) * scale, elements.get(r * 64L + c));
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"kimi_k2_int4", "glm4_moe_fp8ct"})
  void itComesBackByteForByteAndDecodedItHasTheSameElements(String name) throws IOException {
    Path checkpoint = edited(Fixtures.root().resolve("random").resolve(name)).folder();
    try (MoxiePackage stored = convert(checkpoint, null);
        MoxiePackage decoded = convert(checkpoint, Dtype.F32)) {
      assertTrue(Exporter.export(stored, folder.resolve("x"), 1, Progress.NONE).asItWas());
      stored.requireSources();
      decoded.requireSources();
      assertEquals(List.of("plain"), decoded.manifest().encodings());
      for (IndexRow row : stored.rows()) {
        if (row.isLeaf() && row.role() != Role.SCALE && row.role() != Role.PADDING) {
          IndexRow other =
              row.expert() == null
                  ? decoded.tensor(row.name())
                  : decoded.slice(row.name(), row.expert(), row.projection());
          if (!row.encoding().id().equals("plain")) {
            Elements a = stored.elements(row);
            Elements b = decoded.elements(other);
            for (long i = 0; i < other.shape().elements(); i++) {
              assertEquals(a.get(i), b.get(i));
            }
          }
        }
      }
    }
    assertEquals(FolderDigests.of(checkpoint), FolderDigests.of(folder.resolve("x")));
  }

  @Test
  void everyRowOfFp8HasItsScaleBesideIt() {
    try (MoxiePackage pack = convert(edited(FP8).folder(), null)) {
      assertEquals(List.of("fp8_channel", "plain"), pack.manifest().encodings());
      assertEquals(
          Set.of(Dtype.BF16),
          pack.rows().stream()
              .filter(row -> row.role() == Role.SCALE)
              .map(IndexRow::dtype)
              .collect(Collectors.toSet()));
    }
  }

  @Test
  void aShapeThatIsStatedOtherwiseIsRefused() {
    byte[] other = {32, 0, 0, 0, 65, 0, 0, 0};
    Path checkpoint =
        edited(INT4).put(EXPERT + "shape", Dtype.I32, Shape.of(2), other).write().folder();
    refuses(checkpoint, EXPERT + "shape", "[32, 64]", "[32, 65]");
  }

  @Test
  void aShapeThatIsNotStatedIsMissed() {
    String shape = EXPERT + "shape";
    Path checkpoint =
        edited(INT4).rename(name -> shape.equals(name) ? null : name).write().folder();
    refuses(checkpoint, shape);
  }

  @Test
  void aModuleThatIsLeftOutAndYetPackedIsAContradiction() {
    Path checkpoint =
        edited(INT4)
            .config(
                json ->
                    ((ObjectNode) json.get("quantization_config"))
                        .putArray("ignore")
                        .add("re:.*experts\\.3\\..*"))
            .folder();
    refuses(checkpoint, "model.layers.1.mlp.experts.3.gate_proj", "quantization_config leaves");
  }

  /** Java's patterns are searched by going back, which some patterns make endless. */
  @Test
  void aPatternThatIsNeverDecidedIsRefused() {
    Path checkpoint =
        edited(INT4)
            .config(
                json ->
                    ((ObjectNode) json.get("quantization_config"))
                        .putArray("ignore")
                        .add("re:(.*.*)*(.*)*!"))
            .folder();
    refuses(checkpoint, "patterns that are soon decided");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "format | \"marlin-24\"",
        "quantization_status | \"frozen\"",
        "kv_cache_scheme | {\"num_bits\": 8}",
        "sparsity_config | {\"format\": \"dense\"}",
        "another_key | 1",
        "config_groups | {}",
        "ignore | [\"re:(\"]",
        "group_0.targets | [\"Conv2d\"]",
        "group_0.output_activations | {\"num_bits\": 8}",
        "group_0.input_activations | {\"dynamic\": false}",
        "weights.num_bits | 8",
        "weights.type | \"float\"",
        "weights.strategy | \"channel\"",
        "weights.symmetric | false",
        "weights.group_size | 0",
        "weights.dynamic | true",
        "weights.actorder | \"group\"",
        "weights.another | 1",
      })
  void whatIsNotKnownIsRefusedByName(String path, String value) {
    String[] keys = path.split("\\.");
    Path checkpoint =
        edited(INT4)
            .config(
                json -> {
                  var object = (ObjectNode) json.get("quantization_config");
                  if (keys.length > 1) {
                    object = (ObjectNode) object.get("config_groups").get("group_0");
                    object = keys[0].equals("weights") ? (ObjectNode) object.get(keys[0]) : object;
                  }
                  object.set(keys[keys.length - 1], StrictJson.mapper(false).readTree(value));
                })
            .folder();
    String key = keys[keys.length - 1];
    refuses(checkpoint, key.equals("targets") ? "config_groups and ignore" : key);
  }

  private void refuses(Path checkpoint, String... words) {
    String message =
        String.valueOf(
            assertThrows(
                    InvalidInputException.class,
                    () ->
                        Planner.plan(
                            Checkpoint.open(checkpoint),
                            new Conversion(Set.of(), Conversion.Prediction.KEEP, null)))
                .getMessage());
    for (String word : words) {
      assertTrue(message.contains(word), message);
    }
  }
}

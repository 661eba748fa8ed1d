package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.family.ReleaseTensors;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.fixtures.SyntheticCheckpoint;
import dev.moxie.fixtures.SyntheticValues;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Exhaustive
class Mxfp4ConversionTest {
  private static final int HIDDEN = 64;
  private static final int INTERMEDIATE = 96;
  private static final double[] NUMBERS = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

  private static final String CONFIG =
      """
      {"architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "attention_bias": true,
       "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96,
       "layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 512,
       "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 2,
       "num_key_value_heads": 2, "num_local_experts": 4, "rms_norm_eps": 1e-05,
       "rope_parameters": {"rope_theta": 150000.0, "rope_type": "default"}, "sliding_window": 8, "swiglu_limit": 7.0,
       "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 128,
       "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}}
      """;

  @TempDir Path folder;
  private Path checkpoint;

  @BeforeEach
  void writeCheckpoint() {
    byte[] config = CONFIG.getBytes(StandardCharsets.UTF_8);
    checkpoint = folder.resolve("c");
    SyntheticCheckpoint.write(
        checkpoint,
        config,
        List.of(ReleaseTensors.of(Config.parse("config.json", config))),
        new SyntheticValues(1));
  }

  @Test
  void rowsThatAlternateInTheSourceAreGateAndThenUp() throws IOException {
    try (MoxiePackage pack = convert(null);
        SafetensorsFile source = SafetensorsFile.open(checkpoint.resolve("model.safetensors"))) {
      assertEquals(List.of("mxfp4", "plain"), pack.manifest().encodings());
      for (Projection projection : List.of(Projection.GATE, Projection.UP)) {
        IndexRow row = pack.slice("layers.1.experts.gate_up.weight", 3, projection);
        assertEquals(List.of((long) INTERMEDIATE, HIDDEN / 2L), row.shape().dims());
        Elements elements = pack.elements(row);
        for (int r = 0; r < INTERMEDIATE; r++) {
          for (int c = 0; c < HIDDEN; c++) {
            assertEquals(
                expected(source, 3, projection, r, c), elements.get((long) r * HIDDEN + c));
          }
        }
      }
      assertTrue(Exporter.export(pack, folder.resolve("x"), 1, Progress.NONE).asItWas());
    }
    assertEquals(FolderDigests.of(checkpoint), FolderDigests.of(folder.resolve("x")));
  }

  /** By the definition: the low nibble first, times a power of two for each 32. */
  private static double expected(
      SafetensorsFile source, int expert, Projection projection, int row, int column) {
    String name = "model.layers.1.mlp.experts.gate_up_proj";
    MemorySegment blocks = source.data(source.require(name + "_blocks"));
    MemorySegment scales = source.data(source.require(name + "_scales"));
    long line = (expert * 2L * INTERMEDIATE) + 2L * row + (projection == Projection.UP ? 1 : 0);
    int both = blocks.get(ValueLayout.JAVA_BYTE, line * (HIDDEN / 2) + column / 2) & 0xff;
    int code = column % 2 == 0 ? both & 15 : both >> 4;
    int exponent = scales.get(ValueLayout.JAVA_BYTE, line * (HIDDEN / 32) + column / 32) & 0xff;
    double magnitude = NUMBERS[code & 7] * Math.pow(2, exponent - 127);
    return code < 8 ? magnitude : -magnitude;
  }

  /** E2m1 times a power of two is a bfloat16, so that nothing is rounded. */
  @Test
  void decodedNumbersAreThoseThatWereStored() throws IOException {
    try (MoxiePackage stored = convert(null);
        MoxiePackage decoded = convert(Dtype.BF16)) {
      for (IndexRow row : stored.rows()) {
        if (row.isLeaf() && row.encoding().id().equals("mxfp4")) {
          IndexRow other = decoded.slice(row.name(), row.expert(), row.projection());
          Elements a = stored.elements(row);
          Elements b = decoded.elements(other);
          assertEquals("dequantise_mxfp4", other.transform());
          for (long i = 0; i < other.shape().elements(); i++) {
            assertEquals(a.get(i), b.get(i));
          }
        }
      }
      decoded.requireSources();
      var e =
          assertThrows(
              UnsupportedException.class,
              () -> Exporter.export(decoded, folder.resolve("x"), 1, Progress.NONE));
      assertTrue(e.getMessage().contains("without --dtype"), e.getMessage());
    }
  }

  @Test
  void aPackageInOtherFilesIsTheOneThatAConversionWouldHaveMade() throws IOException {
    var layout = new Manifest.Layout(2, 20_000L);
    try (MoxiePackage pack = convert(null)) {
      Executor.execute(
          Resharding.plan(pack, layout),
          folder.resolve("r"),
          new Manifest.Producer("test", "0"),
          1,
          false,
          Progress.NONE);
    }
    EditedCheckpoint.convert(
            checkpoint, folder.resolve("q"), new Conversion(Set.of(), null, null, layout))
        .close();
    assertEquals(FolderDigests.of(folder.resolve("q")), FolderDigests.of(folder.resolve("r")));
  }

  private MoxiePackage convert(Dtype dtype) {
    Manifest.Cast cast =
        dtype == null ? null : new Manifest.Cast(dtype, Manifest.Rounding.NEAREST_EVEN);
    return EditedCheckpoint.convert(
        checkpoint, folder.resolve("p" + dtype), new Conversion(Set.of(), null, cast));
  }
}

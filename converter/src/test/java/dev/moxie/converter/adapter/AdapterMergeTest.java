package dev.moxie.converter.adapter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedAdapter;
import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.FusedMixtral;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What peft adds is added, to the same matrices, in whatever layout they are. */
class AdapterMergeTest {
  private static final Path MIXTRAL = Fixtures.root().resolve("random/mixtral");
  private static final Path PEFT = Fixtures.root().resolve("adapters");
  private static final String LAYER = "model.layers.1.";

  @TempDir private Path folder;

  /**
   * Both round: peft a sum of float32 products, and those of fused experts once more before they
   * are added.
   */
  @ParameterizedTest
  @ValueSource(strings = {"phimoe", "mixtral", "gpt_oss", "deepseek_v3"})
  void aMergeIsPeftsWithinWhatBothRound(String name) {
    Path base = Fixtures.root().resolve("random").resolve(name);
    Path again = folder.resolve("again");
    try (MoxiePackage pack = merge(base, PEFT.resolve(name), "p", Conversion.Prediction.DROP)) {
      pack.requireSources();
      assertFalseAsItWas(Exporter.export(pack, again, 1, Progress.NONE));
    }
    int changed = 0;
    Map<String, double[]> before = tensors(base);
    Map<String, double[]> ours = tensors(again);
    for (var peft : tensors(PEFT.resolve(name)).entrySet()) {
      double[] own = Objects.requireNonNull(ours.get(peft.getKey()), peft.getKey());
      double[] base0 = Objects.requireNonNull(before.get(peft.getKey()));
      double[] theirs = peft.getValue();
      double largest = 0;
      for (int i = 0; i < own.length; i++) {
        largest = Math.max(largest, Math.abs(theirs[i] - base0[i]));
      }
      for (int i = 0; i < own.length; i++) {
        double added = Math.abs(theirs[i] - base0[i]);
        double allowed =
            ulp(Math.max(Math.abs(own[i]), Math.abs(theirs[i])))
                + ulp(added)
                + 0x1p-20 * (Math.abs(base0[i]) + largest);
        assertTrue(
            Math.abs(own[i] - theirs[i]) <= allowed,
            "%s [%d]: %s, peft has %s".formatted(peft.getKey(), i, own[i], theirs[i]));
      }
      changed += largest > 0 ? 1 : 0;
    }
    assertTrue(changed > 1, "the reference changes little");
  }

  private static void assertFalseAsItWas(Exporter.Result result) {
    assertTrue(!result.asItWas() && result.missing().isEmpty(), result.toString());
  }

  @Test
  void aMergedCheckpointIsExportedWithItsConfigAndIndexAsTheyWere() throws Exception {
    Path base = Fixtures.root().resolve("random/phimoe");
    Path again = folder.resolve("again");
    try (MoxiePackage pack = merge(base, PEFT.resolve("phimoe"), "p", null)) {
      Exporter.export(pack, again, 1, Progress.NONE);
    }
    assertEquals(-1, Files.mismatch(base.resolve("config.json"), again.resolve("config.json")));
    assertEquals(
        Files.size(base.resolve("model.safetensors")),
        Files.size(again.resolve("model.safetensors")));
    assertTrue(!Files.exists(again.resolve("adapter_config.json")), "it would be applied twice");
    Checkpoint.open(again);
  }

  @Test
  void factorsOfExpertsOneByOneFitFusedOnes() {
    Path fused = FusedMixtral.of(MIXTRAL, folder.resolve("fused")).folder();
    Path adapter = PEFT.resolve("mixtral");
    try (MoxiePackage apart = merge(MIXTRAL, adapter, "a", null);
        MoxiePackage together = merge(fused, adapter, "f", null);
        MoxiePackage plain = merge(MIXTRAL, null, "m", null)) {
      assertEquals(leaves(apart), leaves(together));
      assertNotEquals(leaves(plain), leaves(apart));
    }
  }

  /** peft before 0.19 takes the first axis of an expert's matrix for its inputs. */
  @Test
  void factorsOfAnOlderPeftAreTheOtherWayRound() {
    var later = experts("later", "0.21.0", 64, 192);
    var earlier = EditedAdapter.of(later.folder(), folder.resolve("earlier"));
    String stem = LAYER + "mlp.experts.lora_";
    swap(later, earlier, stem);
    earlier.config(json -> json.put("peft_version", "0.18.1")).write();
    try (MoxiePackage a = merge(MIXTRAL, later.folder(), "a", null);
        MoxiePackage b = merge(MIXTRAL, earlier.folder(), "b", null)) {
      assertEquals(leaves(a), leaves(b));
    }
  }

  /** Where gate and up are as high as wide, only the version tells, or other factors. */
  @ParameterizedTest
  @CsvSource({"0.18.1, true", "0.19.0, false"})
  void theVersionTellsFactorsOfSquareMatricesApart(String version, boolean swapped) {
    EditedCheckpoint square =
        EditedCheckpoint.of(MIXTRAL, folder.resolve("square"))
            .config(json -> json.put("intermediate_size", 32));
    for (int layer = 0; layer < 3; layer++) {
      for (int e = 0; e < 8; e++) {
        String expert = "model.layers.%d.block_sparse_moe.experts.%d.".formatted(layer, e);
        square.add(expert + "w1.weight", Dtype.BF16, 32, 64);
        square.add(expert + "w2.weight", Dtype.BF16, 64, 32);
        square.add(expert + "w3.weight", Dtype.BF16, 32, 64);
      }
    }
    square.write();
    var adapter = experts("adapter", version, 64, 64);
    float[] a = adapter.values(LAYER + "mlp.experts.lora_A.weight");
    float[] b = adapter.values(LAYER + "mlp.experts.lora_B.weight");
    try (MoxiePackage pack = merge(square.folder(), adapter.folder(), "p", null)) {
      IndexRow row =
          pack.rows().stream()
              .filter(r -> r.describe().equals("layers.1.experts.gate_up.weight (expert 3, up)"))
              .findFirst()
              .orElseThrow();
      Elements elements = pack.elements(row);
      for (int i = 0; i < 32; i++) {
        for (int j = 0; j < 64; j++) {
          int output = swapped ? j : 32 + i;
          int input = swapped ? 32 + i : j;
          double sum = 0;
          for (int n = 0; n < 2; n++) {
            sum += (double) b[output * 16 + n * 8 + 3] * a[(3 * 2 + n) * 64 + input];
          }
          assertEquals(2 * sum, elements.get(i * 64L + j), Math.abs(sum) * 0x1p-7);
        }
      }
    }
    adapter.config(json -> json.remove("peft_version"));
    String message =
        String.valueOf(
            assertThrows(
                    UnsupportedException.class,
                    () -> merge(square.folder(), adapter.folder(), "q", null))
                .getMessage());
    assertTrue(message.contains("peft_version"), message);
  }

  @ParameterizedTest
  @ValueSource(strings = {"none", "BF16", "F32", "int8_channel"})
  void theBytesDependOnNoThreadAndNoLayout(String form) {
    Conversion one = conversion(form, Manifest.Layout.PLAIN);
    Conversion spread = conversion(form, new Manifest.Layout(3, 50_000L));
    Path adapter = PEFT.resolve("mixtral");
    try (MoxiePackage a = merge(MIXTRAL, adapter, "a", one, 1);
        MoxiePackage b = merge(MIXTRAL, adapter, "b", spread, 3)) {
      assertEquals(leaves(a), leaves(b));
      a.requireSources();
      String last = form.equals("int8_channel") ? "merge+quantise_int8_channel" : "merge";
      assertTrue(a.rows().stream().anyMatch(row -> last.equals(row.transform())), last);
    }
  }

  @Test
  void theManifestSaysWhichAdapterAndWhatItAdded() {
    try (MoxiePackage pack = merge(MIXTRAL, PEFT.resolve("mixtral"), "p", null)) {
      Manifest.Adapter adapter = Objects.requireNonNull(pack.manifest().provenance().adapter());
      assertEquals(LoraAdapter.open(PEFT.resolve("mixtral")).files(), adapter.files());
      assertEquals(List.of(new Manifest.Update(2, 1.5, 3 * 8 * 3)), adapter.updates());
    }
    try (MoxiePackage pack =
        merge(Fixtures.root().resolve("random/phimoe"), PEFT.resolve("phimoe"), "q", null)) {
      Manifest.Adapter adapter = Objects.requireNonNull(pack.manifest().provenance().adapter());
      assertTrue(
          adapter.updates().stream().anyMatch(u -> u.rank() == 2 && u.scale() == 4 / Math.sqrt(2)),
          adapter.updates().toString());
      assertTrue(
          adapter.updates().stream().anyMatch(u -> u.rank() == 1 && u.scale() == 4),
          adapter.updates().toString());
    }
  }

  @Test
  void whatIsStoredInAnEncodingIsDecodedOrRefused() {
    Path base = Fixtures.root().resolve("random/qwen3_moe_fp8");
    EditedAdapter adapter =
        EditedAdapter.in(folder.resolve("adapter"))
            .config(json -> json.putArray("target_modules").add(LAYER + "self_attn.q_proj"));
    Shape query = shape(base, LAYER + "self_attn.q_proj.weight");
    adapter
        .lora(LAYER + "self_attn.q_proj", Shape.of(2, query.dim(1)), Shape.of(query.dim(0), 2))
        .write();
    String message =
        String.valueOf(
            assertThrows(UnsupportedException.class, () -> merge(base, adapter.folder(), "p", null))
                .getMessage());
    assertTrue(message.contains("--dtype bf16") && message.contains("q_proj"), message);
    Conversion decoded = conversion("BF16", Manifest.Layout.PLAIN);
    try (MoxiePackage pack = merge(base, adapter.folder(), "q", decoded, 2)) {
      pack.requireSources();
      Set<@Nullable String> made =
          pack.rows().stream()
              .map(IndexRow::transform)
              .filter(transform -> transform != null && transform.contains("merge"))
              .collect(Collectors.toSet());
      assertEquals(1, made.size());
      assertTrue(String.valueOf(made.iterator().next()).matches("dequantise_fp8.*\\+merge"));
    }
  }

  @Test
  void anotherAdapterIsAnotherConversion() {
    Path other =
        EditedAdapter.of(PEFT.resolve("mixtral"), folder.resolve("other"))
            .config(json -> json.put("lora_alpha", 5))
            .folder();
    Map<String, String> one = job(PEFT.resolve("mixtral"));
    Map<String, String> two = job(other);
    assertNotEquals(one.remove("--adapter"), two.remove("--adapter"));
    assertEquals(one, two);
    assertEquals("none", job(null).get("--adapter"));
  }

  private static Map<String, String> job(@Nullable Path adapter) {
    return new TreeMap<>(
        Planner.plan(
                Checkpoint.open(MIXTRAL),
                Conversion.LOSSLESS,
                adapter == null ? null : LoraAdapter.open(adapter))
            .contents()
            .job()
            .get());
  }

  @Test
  void anAdapterThatIsNotThereIsAWrongPath() {
    assertThrows(UsageException.class, () -> LoraAdapter.open(folder.resolve("nothing")));
  }

  /** An adapter of gate and up of all experts of a layer, of rank 2. */
  private EditedAdapter experts(String name, String version, int inputs, int outputs) {
    return EditedAdapter.in(folder.resolve(name))
        .config(
            json -> {
              json.put("peft_version", version);
              json.putArray("target_parameters").add("layers.1.mlp.experts.gate_up_proj");
            })
        .lora(LAYER + "mlp.experts", Shape.of(16, inputs), Shape.of(outputs, 16))
        .write();
  }

  /** The same products with factors that have changed places. */
  private static void swap(EditedAdapter from, EditedAdapter to, String stem) {
    float[] a = from.values(stem + "A.weight");
    float[] b = from.values(stem + "B.weight");
    var first = new ArrayList<Float>();
    for (int e = 0; e < 8; e++) {
      for (int n = 0; n < 2; n++) {
        for (int o = 0; o < 192; o++) {
          first.add(b[o * 16 + n * 8 + e]);
        }
      }
    }
    var second = new ArrayList<Float>();
    for (int i = 0; i < 64; i++) {
      for (int n = 0; n < 2; n++) {
        for (int e = 0; e < 8; e++) {
          second.add(a[(e * 2 + n) * 64 + i]);
        }
      }
    }
    var ofA = first.iterator();
    var ofB = second.iterator();
    to.floats(stem + "A.weight", Shape.of(16, 192), ofA::next);
    to.floats(stem + "B.weight", Shape.of(64, 16), ofB::next);
  }

  private static Conversion conversion(String form, Manifest.Layout layout) {
    return switch (form) {
      case "none" -> new Conversion(Set.of(), null, null, layout);
      case "int8_channel" ->
          new Conversion(
              Set.of(),
              null,
              null,
              new Manifest.Quantisation(form, Manifest.Matrices.EXPERTS, Quantiser.Method.NEAREST),
              layout);
      default ->
          new Conversion(
              Set.of(),
              null,
              new Manifest.Cast(Dtype.valueOf(form), Manifest.Rounding.NEAREST_EVEN),
              layout);
    };
  }

  private MoxiePackage merge(
      Path base, @Nullable Path adapter, String name, Conversion.@Nullable Prediction prediction) {
    return merge(base, adapter, name, new Conversion(Set.of(), prediction, null), 2);
  }

  private MoxiePackage merge(
      Path base, @Nullable Path adapter, String name, Conversion conversion, int threads) {
    Executor.execute(
        Planner.plan(
                Checkpoint.open(base),
                conversion,
                adapter == null ? null : LoraAdapter.open(adapter))
            .contents(),
        folder.resolve(name),
        new Manifest.Producer("test", "0"),
        threads,
        false,
        Progress.NONE);
    return MoxiePackage.open(folder.resolve(name));
  }

  private static Map<String, @Nullable String> leaves(MoxiePackage pack) {
    Map<String, @Nullable String> leaves = new TreeMap<>();
    pack.rows().stream()
        .filter(row -> row.isLeaf() && !row.name().startsWith("padding"))
        .forEach(row -> leaves.put(row.describe(), row.sha256()));
    return leaves;
  }

  private static Shape shape(Path checkpoint, String tensor) {
    return Objects.requireNonNull(Checkpoint.open(checkpoint).tensors().get(tensor)).shape();
  }

  /** The tensors of a folder but for those of traces and adapters. */
  private static Map<String, double[]> tensors(Path folder) {
    Map<String, double[]> tensors = new HashMap<>();
    try (var files = Files.list(folder)) {
      for (Path file : files.filter(f -> f.toString().matches(".*/m[^/]*safetensors")).toList()) {
        try (SafetensorsFile open = SafetensorsFile.open(file)) {
          for (TensorInfo info : open.header().tensors()) {
            Elements elements = Elements.plain(info.name(), open.data(info), info.dtype());
            double[] values = new double[Math.toIntExact(info.shape().elements())];
            elements.read(0, values.length, values);
            tensors.put(info.name(), values);
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return tensors;
  }

  /** Of bfloat16. */
  private static double ulp(double value) {
    return Math.ulp((float) value) * 0x1p16;
  }
}

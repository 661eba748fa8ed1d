package dev.moxie.converter.family;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Planner;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.Sharding;
import dev.moxie.fixtures.SyntheticCheckpoint;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.safetensors.TensorDeclaration;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

@Exhaustive
class ReleaseTensorsTest {
  private static final String PREDICTION_LAYERS = "num_nextn_predict_layers";

  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    // A release of the fused one would have a tensor for each expert.
    return Fixtures.all().stream().filter(path -> !path.equals(Fixtures.fusedMixtral()));
  }

  private static List<TensorDeclaration> tensors(byte[] config) {
    return ReleaseTensors.of(Config.parse("config.json", config));
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void areThoseOfARealCheckpointWithThatConfig(Path path) {
    Set<TensorDeclaration> real =
        Checkpoint.open(path).tensors().values().stream()
            .map(tensor -> new TensorDeclaration(tensor.name(), tensor.dtype(), tensor.shape()))
            .collect(Collectors.toSet());
    Path file = path.resolve("config.json");
    // transformers drops the layers for multi-token prediction when it saves, but not the key.
    boolean dropped =
        StrictJson.readObject(file).has(PREDICTION_LAYERS)
            && real.stream().noneMatch(tensor -> tensor.name().contains("eh_proj"));
    List<TensorDeclaration> tensors =
        tensors(ConfigVariant.of(file, dropped ? Map.of(PREDICTION_LAYERS, "0") : Map.of(), 1));
    assertEquals(real, new HashSet<>(tensors));
    assertEquals(real.size(), tensors.size());
  }

  /** Figures that were counted without Moxie; the bytes are those of the data alone. */
  @ParameterizedTest
  @CsvSource({
    "deepseek-v3, 91991, 688574839360",
    "mixtral-8x7b, 995, 93405585408",
    "mixtral-8x22b, 1739, 281260142592"
  })
  void ofAWholeReleaseConvertWithoutItsBytes(String name, int count, long bytes) throws Exception {
    byte[] config = ConfigVariant.of(Fixtures.config(name), Map.of(), 1);
    List<TensorDeclaration> tensors = tensors(config);
    assertEquals(count, tensors.size());
    assertEquals(bytes, Sharding.bytes(tensors));
    Path checkpoint = folder.resolve("c");
    SyntheticCheckpoint.write(checkpoint, config, Sharding.into(163, tensors), null);
    ConversionPlan plan =
        Planner.plan(
            Checkpoint.open(checkpoint),
            new Conversion(Set.of(), Conversion.Prediction.KEEP, null));
    assertEquals(count, plan.sourceTensors());
    assertTrue(kibibytesOnDisk(checkpoint) < 40_000);
  }

  private static long kibibytesOnDisk(Path folder) throws Exception {
    Process du = new ProcessBuilder("du", "-sk", folder.toString()).start();
    String printed = new String(du.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return Long.parseLong(printed.substring(0, printed.indexOf('\t')));
  }

  @Test
  void comeExpertByExpertWithScalesAfterTheirValues() {
    List<String> names =
        tensors(ConfigVariant.of(Fixtures.config("deepseek-v3"), Map.of(), 1)).stream()
            .map(TensorDeclaration::name)
            .toList();
    int first = names.indexOf("model.layers.3.mlp.experts.0.gate_proj.weight");
    String stem = "model.layers.3.mlp.experts.";
    assertEquals(
        List.of(
            stem + "0.gate_proj.weight",
            stem + "0.gate_proj.weight_scale_inv",
            stem + "0.up_proj.weight",
            stem + "0.up_proj.weight_scale_inv",
            stem + "0.down_proj.weight",
            stem + "0.down_proj.weight_scale_inv",
            stem + "1.gate_proj.weight"),
        names.subList(first, first + 7));
  }
}

package dev.moxie.converter.family;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Planner;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.Sharding;
import dev.moxie.fixtures.SyntheticCheckpoint;
import dev.moxie.fixtures.SyntheticValues;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.ParameterCount;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConfigVariantTest {
  @TempDir Path folder;

  private static Architecture architecture(byte[] json) {
    Config config = Config.parse("config.json", json);
    return Families.of(config).describe(config).architecture();
  }

  private static long parameters(byte[] json) {
    ParameterCount count = ParameterCount.of(architecture(json));
    return count.total() + count.prediction();
  }

  @Test
  void withoutAChangeIsTheFileItself() throws IOException {
    Path file = Fixtures.config("mixtral-8x7b");
    assertArrayEquals(Files.readAllBytes(file), ConfigVariant.of(file, Map.of(), 1));
  }

  @Test
  void valuesTakeThePlaceOfThoseThatAreThere() {
    byte[] json =
        ConfigVariant.of(
            Fixtures.config("deepseek-v3"),
            Map.of(
                "num_hidden_layers", "7",
                "norm_topk_prob", "false",
                "quantization_config", "null",
                "q_lora_rank", "null"),
            1);
    var config = StrictJson.parseObject("config.json", json);
    assertEquals(7, config.get("num_hidden_layers").intValue());
    assertEquals(7, architecture(json).layers().size());
    assertTrue(config.get("quantization_config").isNull());
    assertEquals(2.5, config.get("routed_scaling_factor").doubleValue());
  }

  @ParameterizedTest
  @CsvSource({
    "deepseek-v3, 0.01",
    "deepseek-v3, 0.3",
    "deepseek-v2, 0.05",
    "deepseek-v2-lite, 0.02",
    "deepseek-v2-lite, 4",
    "mixtral-8x7b, 0.005",
    "mixtral-8x7b, 2.5",
    "mixtral-8x22b, 0.1"
  })
  void scalingMultipliesTheParameters(String name, double factor) {
    Path file = Fixtures.config(name);
    double before = parameters(ConfigVariant.of(file, Map.of(), 1));
    byte[] scaled = ConfigVariant.of(file, Map.of(), factor);
    assertEquals(1, parameters(scaled) / (factor * before), 0.1);
  }

  @Test
  void scalingKeepsLayersExpertsAndHeadSizes() {
    Architecture scaled =
        architecture(ConfigVariant.of(Fixtures.config("mixtral-8x7b"), Map.of(), 0.25));
    assertEquals(32, scaled.layers().size());
    assertEquals(2048, scaled.hiddenSize());
    var attention = (Attention.GroupedQuery) scaled.layers().getFirst().attention();
    assertEquals(128, attention.headSize());
    assertEquals(16, attention.heads());
    assertEquals(4, attention.keyValueHeads());
  }

  @Test
  void aScaledDeepSeekConverts() throws IOException {
    byte[] json =
        ConfigVariant.of(
            Fixtures.config("deepseek-v3"),
            Map.of("num_hidden_layers", "4", "n_routed_experts", "16"),
            0.002);
    var tensors = ReleaseTensors.of(Config.parse("config.json", json));
    Path checkpoint = folder.resolve("c");
    SyntheticCheckpoint.write(checkpoint, json, Sharding.into(5, tensors), new SyntheticValues(1));
    var plan =
        Planner.plan(
            Checkpoint.open(checkpoint),
            new Conversion(Set.of(), Conversion.Prediction.KEEP, null));
    assertEquals(tensors.size(), plan.sourceTensors());
    assertEquals(1, plan.architecture().prediction().count());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "many", "\"4\"", "[4]", "{}", "4 5", "0x10"})
  void aValueThatIsNoneIsRefused(String value) {
    String message =
        assertThrows(
                UsageException.class,
                () ->
                    ConfigVariant.of(
                        Fixtures.config("mixtral-8x7b"), Map.of("num_hidden_layers", value), 1))
            .getMessage();
    assertTrue(message.contains("--set num_hidden_layers"), message);
    assertEquals(1, message.lines().count(), message);
  }

  @Test
  void aValueThatDoesNotFitIsRefusedByTheFamily() {
    byte[] json =
        ConfigVariant.of(Fixtures.config("mixtral-8x7b"), Map.of("num_experts_per_tok", "9"), 1);
    String message =
        assertThrows(InvalidInputException.class, () -> architecture(json)).getMessage();
    assertTrue(message.contains("num_experts_per_tok"), message);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY})
  void aFactorThatIsNoneIsRefused(double factor) {
    assertThrows(
        UsageException.class,
        () -> ConfigVariant.of(Fixtures.config("mixtral-8x7b"), Map.of(), factor));
  }
}

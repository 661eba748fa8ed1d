package dev.moxie.converter.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** Keys whose value changes nothing are let through, in every family; with another they are not. */
class NeutralKeysTest {
  private static final List<Path> CONFIGS =
      List.of(
          Fixtures.tinyMixtral().resolve("config.json"),
          Fixtures.config("deepseek-v2"),
          Fixtures.tinyDeepSeek().resolve("config.json"));

  @ParameterizedTest
  @CsvSource({
    "attention_bias, false, true",
    "mlp_bias, false, true",
    "qkv_bias, false, true",
    "use_qk_norm, false, true",
    "is_encoder_decoder, false, true",
    "final_logit_softcapping, 0, 30.0",
    "clip_qkv, null, 8.0",
    "logit_scale, 1.0, 0.5",
    "partial_rotary_factor, 1, 0.5",
    "moe_layer_freq, 1, 2",
    "mlp_only_layers, [], [0]",
    "num_shared_experts, 0, 1"
  })
  void whatIsSwitchedOffChangesNothing(String key, String off, String on) {
    for (Path config : CONFIGS) {
      Family.Description plain = describe(config, json -> {}, Set.of());
      assertEquals(plain, describe(config, json -> set(json, key, off), Set.of()), key);
      assertRefused(config, key, json -> set(json, key, on));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "_commit_hash",
        "bad_words_ids",
        "diversity_penalty",
        "early_stopping",
        "num_beams",
        "return_dict_in_generate",
        "tf_legacy_loss",
        "typical_p"
      })
  void whatSavesEverySettingOfGenerationChangesNoModel(String key) {
    for (Path config : CONFIGS) {
      Family.Description plain = describe(config, json -> {}, Set.of());
      assertEquals(plain, describe(config, json -> set(json, key, "0"), Set.of()), key);
    }
  }

  @Test
  void aListOfLayersThatAttendToEverythingSaysNothing() {
    String full = "[\"full_attention\", \"full_attention\"]";
    String mixed = "[\"full_attention\", \"sliding_attention\"]";
    for (Path config : CONFIGS) {
      Family.Description plain = describe(config, json -> {}, Set.of());
      assertEquals(plain, describe(config, json -> set(json, "layer_types", full), Set.of()));
      assertRefused(config, "layer_types", json -> set(json, "layer_types", mixed));
    }
    Path mixtral = CONFIGS.getFirst();
    Consumer<ObjectNode> window = json -> set(json, "sliding_window", "8");
    assertEquals(
        describe(mixtral, window, Set.of()),
        describe(
            mixtral,
            window.andThen(json -> set(json, "layer_types", mixed.replace("full", "sliding"))),
            Set.of()));
    for (String other : List.of(full, mixed)) {
      assertRefused(
          mixtral, "layer_types", window.andThen(json -> set(json, "layer_types", other)));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"max_window_layers", "sliding_window_pattern"})
  void whatTellsOfAWindowSaysNothingWithoutOne(String key) {
    for (Path config : CONFIGS) {
      Family.Description plain = describe(config, json -> {}, Set.of());
      assertEquals(plain, describe(config, json -> set(json, key, "28"), Set.of()));
      Consumer<ObjectNode> none = json -> set(json, "sliding_window", "null");
      assertEquals(plain, describe(config, none.andThen(json -> set(json, key, "28")), Set.of()));
    }
    Consumer<ObjectNode> window = json -> set(json, "sliding_window", "8");
    assertRefused(CONFIGS.getFirst(), key, window.andThen(json -> set(json, key, "28")));
  }

  @Test
  void mixtralAlwaysNormalisesSoOnlyTheContraryMeansSomething() {
    Path config = CONFIGS.getFirst();
    assertEquals(
        describe(config, json -> {}, Set.of()),
        describe(config, json -> set(json, "norm_topk_prob", "true"), Set.of()));
    assertRefused(config, "norm_topk_prob", json -> set(json, "norm_topk_prob", "false"));
  }

  @ParameterizedTest
  @CsvSource({"default, 1.0, true", "linear, 1.0, true", "linear, 2.0, false", "yarn, 2.0, false"})
  void bothSpellingsMayStandThereAsLongAsNeitherScales(String type, String factor, boolean fine) {
    Path config = CONFIGS.getFirst();
    String value = "{\"type\": \"%s\", \"factor\": %s}".formatted(type, factor);
    Consumer<ObjectNode> change = json -> set(json, "rope_scaling", value);
    if (fine) {
      assertEquals(describe(config, json -> {}, Set.of()), describe(config, change, Set.of()));
    } else {
      assertRefused(config, "rope_scaling", change);
    }
  }

  @Test
  void aFactorOfOneScalesNoPositions() {
    Path config = CONFIGS.getFirst();
    Family.Description plain = describe(config, json -> {}, Set.of());
    Consumer<ObjectNode> old =
        json -> {
          json.remove("rope_parameters");
          set(json, "rope_theta", "10000.0");
        };
    String scaling = "{\"type\": \"linear\", \"factor\": %s}";
    assertEquals(
        plain,
        describe(
            config,
            old.andThen(json -> set(json, "rope_scaling", scaling.formatted("1.0"))),
            Set.of()));
    assertNotEquals(
        plain,
        describe(
            config,
            old.andThen(json -> set(json, "rope_scaling", scaling.formatted("2.0"))),
            Set.of()));
  }

  @ParameterizedTest
  @CsvSource({
    "quant_method, '\"FP8\"', '\"fp4\"'",
    "fmt, '\"E4M3\"', '\"e5m2\"'",
    "activation_scheme, '\"Dynamic\"', '\"static\"'",
    "dequantize, false, true",
    "modules_to_convert, null, '[\"a\"]'",
    "modules_to_not_convert, null, ",
    "scale_fmt, '\"float\"', ",
    "scale_fmt, '\"ue8m0\"', "
  })
  void fp8IsSpelledInManyWays(String key, String off, String on) {
    Path config = CONFIGS.getLast();
    Family.Description plain = describe(config, json -> {}, Set.of());
    assertEquals(plain, describe(config, json -> quantisation(json, key, off), Set.of()));
    if (on != null) {
      assertRefused(config, key, json -> quantisation(json, key, on));
    }
  }

  @Test
  void anIgnoredKeyIsReachedInsideAnObjectAndNowhereElse() {
    Path config = CONFIGS.getLast();
    Consumer<ObjectNode> odd = json -> quantisation(json, "odd", "1");
    Family.Description plain = describe(config, json -> {}, Set.of());
    assertEquals(plain, describe(config, odd, Set.of("quantization_config.odd")));
    assertThrows(InvalidInputException.class, () -> describe(config, odd, Set.of("odd")));
  }

  @Test
  void anIgnoredKeyCountsAsAbsentAndOneThatIsNeededIsMissed() {
    Path config = CONFIGS.getLast();
    Family.Description plain = describe(config, json -> {}, Set.of());
    Set<String> ignored = Set.of("attention_bias");
    assertEquals(plain, describe(config, json -> set(json, "attention_bias", "true"), ignored));
    String message =
        assertThrows(
                InvalidInputException.class,
                () -> describe(config, json -> {}, Set.of("rope_theta")))
            .getMessage();
    assertTrue(String.valueOf(message).contains("to be ignored"), message);
  }

  private static void quantisation(ObjectNode json, String key, String value) {
    set((ObjectNode) json.get("quantization_config"), key, value);
  }

  private static void set(ObjectNode json, String key, String value) {
    json.set(key, StrictJson.mapper(true).readTree(value));
  }

  private static void assertRefused(Path config, String culprit, Consumer<ObjectNode> change) {
    String message =
        assertThrows(InvalidInputException.class, () -> describe(config, change, Set.of()))
            .getMessage();
    assertTrue(String.valueOf(message).contains(culprit), message);
  }

  private static Family.Description describe(
      Path file, Consumer<ObjectNode> change, Set<String> ignored) {
    ObjectNode json = StrictJson.readObject(file);
    change.accept(json);
    byte[] bytes = json.toString().getBytes(StandardCharsets.UTF_8);
    Config config = Config.parse(file.toString(), bytes, ignored);
    return Families.of(config).describe(config);
  }
}

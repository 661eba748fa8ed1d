package dev.moxie.converter.family;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** What config.json leaves out, says twice or cannot say must not change a model's numbers. */
class KeysThatChangeTheNumbersTest {
  private static final String MIXED = "[\"full_attention\", \"sliding_attention\", \"%s\"]";

  @Test
  void dbrxNormalisesUnlessItSaysNull() {
    String key = "moe_normalize_expert_weights";
    Architecture stated = describe("dbrx", json -> {});
    assertEquals(stated, describe("dbrx", json -> ffn(json).remove(key)));
    assertNotEquals(stated, describe("dbrx", json -> ffn(json).putNull(key)));
  }

  private static ObjectNode ffn(ObjectNode json) {
    return (ObjectNode) json.get("ffn_config");
  }

  @Test
  void gptOssIsRefusedWithoutAScalingBecauseItsClassHasOne() {
    refuses("gpt_oss", "rope_scaling", json -> scaling(json, "rope_scaling", null));
    String plain = "{\"rope_type\": \"default\"}";
    Architecture unscaled = describe("gpt_oss", json -> scaling(json, "rope_parameters", plain));
    assertNotEquals(describe("gpt_oss", json -> {}), unscaled);
    assertEquals(unscaled, describe("gpt_oss", json -> scaling(json, "rope_scaling", plain)));
  }

  private static void scaling(ObjectNode json, String key, @Nullable String value) {
    json.remove("rope_parameters");
    set(json, "rope_theta", "150000.0");
    set(json, key, String.valueOf(value));
  }

  @Test
  void aWindowThatLayersNeedIsNotLeftOut() {
    refuses("gpt_oss", "sliding_window", json -> json.remove("sliding_window"));
    for (String qwen : new String[] {"qwen2_moe", "qwen3_moe"}) {
      Consumer<ObjectNode> used = json -> set(json, "use_sliding_window", "true");
      refuses(qwen, "sliding_window", used.andThen(json -> json.remove("sliding_window")));
      describe(qwen, used.andThen(json -> set(json, "sliding_window", "8")));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"mixtral", "qwen3_moe"})
  void aClassThatReadsNoListOfLayersHasNoLayersThatDiffer(String family) {
    refuses(family, "layer_types", json -> set(json, "layer_types", MIXED.formatted("other")));
    Consumer<ObjectNode> window =
        json -> {
          set(json, "use_sliding_window", family.equals("mixtral") ? "null" : "true");
          set(json, "sliding_window", "8");
        };
    refuses(
        family,
        "layer_types",
        window.andThen(json -> set(json, "layer_types", MIXED.formatted("full_attention"))));
  }

  @Test
  void chunksHaveTheSizeOfTheClassUnlessItIsStated() {
    String key = "attention_chunk_size";
    Architecture stated = describe("llama4_text", json -> set(json, key, "8192"));
    assertEquals(stated, describe("llama4_text", json -> json.remove(key)));
    assertNotEquals(stated, describe("llama4_text", json -> set(json, key, "6")));
    refuses("llama4_text", key, json -> json.putNull(key));
    refuses(
        "llama4_text",
        "layer_types",
        json -> set(json, "layer_types", MIXED.formatted("full_attention")));
  }

  @Test
  void aScoreThatTheClassDoesNotComputeIsRefused() {
    refuses("dots1", "scoring_func", json -> set(json, "scoring_func", "\"softmax\""));
    assertEquals(
        describe("dots1", json -> {}), describe("dots1", json -> json.remove("scoring_func")));
  }

  /** Where images share experts, what becomes of one depends on those beside it. */
  @ParameterizedTest
  @CsvSource({"group_size, 208", "num_heads, 5", "patch_size, 11", "moe_layers, [3]"})
  void anImageThatIsNoGroupOfItsOwnOrNoneOfPatchesIsRefused(String key, String value) {
    refuses("v_moe", key, json -> set(json, key, value));
  }

  /** Each task has a part of what experts make. */
  @ParameterizedTest
  @CsvSource({"num_tasks, 1", "num_tasks, 5", "num_tasks, 30000", "num_heads, 5"})
  void tasksThatAreOneOrShareNothingOutAreRefused(String key, String value) {
    refuses("mmoe", key, json -> set(json, key, value));
  }

  /** A value that is stated as the only one stays that, whatever holds where there is none. */
  @ParameterizedTest
  @CsvSource({
    "switch_transformers, tie_word_embeddings, false",
    "switch_transformers, is_encoder_decoder, false",
    "nllb-moe, tie_word_embeddings, false",
    "nllb-moe, batch_prioritized_routing, true",
    "nllb-moe, second_expert_policy, '\"random\"'",
    "gshard, tie_word_embeddings, false",
    "deepspeed_moe, use_rts, true",
    "tutel, capacity_factor, 1.5",
    "v_moe, classifier, '\"gap\"'"
  })
  void whatTheFamilyDoesNotComputeIsRefused(String family, String key, String value) {
    refuses(family, key, json -> set(json, key, value));
    assertEquals(describe(family, json -> {}), describe(family, json -> json.remove(key)));
  }

  @Test
  void anIntervalLongerThanTheModelLeavesAllLayersDense() {
    Architecture dense = describe("ernie4_5_moe", json -> set(json, "moe_layer_interval", "9"));
    assertTrue(dense.layers().stream().allMatch(l -> l.feedForward() instanceof FeedForward.Dense));
  }

  @ParameterizedTest
  @CsvSource({
    "glm4_moe, partial_rotary_factor, 0.25",
    "minimax_m2, partial_rotary_factor, 0.25",
    "minimax_m2, rotary_dim, 4",
    "qwen3_moe, rope_theta, 100.0",
    "granitemoe, rope_theta, 100.0"
  })
  void whatIsSaidTwiceIsSaidAlike(String family, String key, String other) {
    Architecture stated = describe(family, json -> {});
    Consumer<ObjectNode> nested =
        json -> {
          ObjectNode parameters = json.putObject("rope_parameters");
          parameters.put("rope_type", "default");
          for (String moved : new String[] {"rope_theta", "partial_rotary_factor"}) {
            if (json.has(moved)) {
              parameters.set(moved, json.get(moved));
            }
          }
        };
    assertEquals(stated, describe(family, nested));
    assertEquals(stated, describe(family, nested.andThen(json -> json.remove("rope_theta"))));
    refuses(family, key, nested.andThen(json -> set(json, key, other)));
  }

  /** The fixture has three layers: one that sees everything, two with a window. */
  @Test
  void mimoIsTheSameAsItsReleaseSpellsIt() {
    String family = "mimo_v2_flash";
    Architecture stated = describe(family, json -> {});
    Consumer<ObjectNode> released =
        json -> {
          json.remove(List.of("rope_parameters", "layer_types", "mlp_layer_types"));
          json.set("layernorm_epsilon", json.remove("rms_norm_eps"));
          set(json, "hybrid_layer_pattern", "[0, 1, 1]");
          set(json, "moe_layer_freq", "[1, 1, 1]");
          set(json, "rope_theta", "100.0");
          set(json, "swa_rope_theta", "100.0");
          set(json, "partial_rotary_factor", "0.334");
          set(json, "rope_scaling", "null");
          set(json, "sliding_window_size", "9");
          set(json, "attention_chunk_size", "9");
          set(json, "hybrid_block_size", "null");
          set(json, "n_shared_experts", "null");
          set(json, "swa_num_attention_heads", "4");
          set(json, "swa_num_key_value_heads", "2");
          set(json, "swa_head_dim", "12");
          set(json, "swa_v_head_dim", "16");
          set(json, "add_swa_attention_sink_bias", "true");
          set(json, "add_full_attention_sink_bias", "false");
        };
    assertEquals(stated, describe(family, released));
    for (String changed :
        List.of(
            "hybrid_layer_pattern [1, 1, 1]",
            "moe_layer_freq [0, 1, 1]",
            "swa_rope_theta 10.0",
            "partial_rotary_factor 1.0",
            "swa_num_key_value_heads 4",
            "add_swa_attention_sink_bias false",
            "add_full_attention_sink_bias true")) {
      String[] both = changed.split(" ", 2);
      Architecture other = describe(family, released.andThen(json -> set(json, both[0], both[1])));
      assertNotEquals(stated, other, changed);
    }
    for (String refused :
        List.of(
            "hybrid_layer_pattern [0, 2, 1]",
            "hybrid_layer_pattern [0, 1]",
            "swa_num_key_value_heads 3",
            "swa_num_attention_heads 2",
            "swa_head_dim 8",
            "swa_v_head_dim 12",
            "sliding_window_size 8",
            "hybrid_block_size 4")) {
      String[] both = refused.split(" ", 2);
      Consumer<ObjectNode> wrong = released.andThen(json -> set(json, both[0], both[1]));
      assertThrows(InvalidInputException.class, () -> describe(family, wrong), refused);
    }
  }

  @Test
  void aThetaWithinTheOlderSpellingCounts() {
    Architecture stated = describe("qwen3_moe", json -> {});
    String scaling = "{\"rope_type\": \"default\", \"rope_theta\": %s}";
    assertEquals(
        stated,
        describe("qwen3_moe", json -> set(json, "rope_scaling", scaling.formatted("10000.0"))));
    refuses(
        "qwen3_moe", "rope_theta", json -> set(json, "rope_scaling", scaling.formatted("100.0")));
  }

  /** transformers 5.18 passes over the key there, and others need not. */
  @Test
  void boundsBetweenPairsOfOneKindOfLayersAreRefused() {
    String yarn =
        """
        {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0,
         "original_max_position_embeddings": 16, "truncate": %s}
        """;
    Architecture stated = describe("mellum", json -> angles(json, yarn.formatted(true)));
    assertNotEquals(describe("mellum", json -> {}), stated);
    refuses("mellum", "truncate", json -> angles(json, yarn.formatted(false)));
    String whole = "{\"type\": \"yarn\", \"factor\": 4.0, %s \"truncate\": %s}";
    String from = "\"original_max_position_embeddings\": 4096,";
    describe("deepseek_v4", json -> set(json, "rope_scaling", whole.formatted(from, true)));
    refuses(
        "deepseek_v4", "truncate", json -> set(json, "rope_scaling", whole.formatted(from, false)));
  }

  private static void angles(ObjectNode json, String ofFull) {
    set((ObjectNode) json.get("rope_parameters"), "full_attention", ofFull);
  }

  private static void refuses(String family, String culprit, Consumer<ObjectNode> change) {
    String message =
        assertThrows(InvalidInputException.class, () -> describe(family, change)).getMessage();
    assertTrue(String.valueOf(message).contains("\"" + culprit + "\""), message);
  }

  private static Architecture describe(String family, Consumer<ObjectNode> change) {
    Path file =
        Stream.of("random", "encoders", "papers")
            .map(folder -> Fixtures.root().resolve(folder).resolve(family).resolve("config.json"))
            .filter(Files::exists)
            .findFirst()
            .orElseThrow();
    ObjectNode json = StrictJson.readObject(file);
    change.accept(json);
    byte[] bytes = json.toString().getBytes(StandardCharsets.UTF_8);
    Config config = Config.parse(file.toString(), bytes);
    return Families.of(config).describe(config).architecture();
  }

  private static void set(ObjectNode json, String key, String value) {
    json.set(key, StrictJson.mapper(true).readTree(value));
  }
}

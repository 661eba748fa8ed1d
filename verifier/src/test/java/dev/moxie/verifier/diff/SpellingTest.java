package dev.moxie.verifier.diff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.node.ObjectNode;

/** Settings are compared by what they mean, where this build knows it. */
class SpellingTest {
  @TempDir Path folder;

  /** What transformers 5.18 made of this config.json: loaded, and saved. */
  @Test
  void aReSaveByTransformers5IsTheSameModel() throws IOException {
    Path before = Fixtures.root().resolve("variants/v2-grouped");
    Path after =
        edited(
            before,
            json -> {
              ObjectNode rope = (ObjectNode) json.remove("rope_scaling");
              rope.put("rope_type", "yarn");
              rope.set("rope_theta", json.remove("rope_theta"));
              json.set("rope_parameters", rope);
              json.set("dtype", json.remove("torch_dtype"));
              json.put("head_dim", json.get("qk_rope_head_dim").intValue());
              json.put(
                  "qk_head_dim",
                  json.get("qk_rope_head_dim").intValue()
                      + json.get("qk_nope_head_dim").intValue());
              json.put("mlp_bias", false);
              json.putNull("pad_token_id");
              json.put("transformers_version", "5.18.0");
            });
    Files.writeString(
        after.resolve("generation_config.json"),
        """
        {"_from_model_config": true, "bos_token_id": 1, "transformers_version": "5.18.0"}
        """);
    Diff diff = Models.diff(before, after);
    assertEquals(Diff.Sense.SAME_BYTES, diff.sense(), diff.files().toString());
    assertEquals(List.of(), diff.settings());
    assertTrue(
        diff.spelling().stream().anyMatch(c -> c.what().equals("config.json: rope_parameters")));
    assertTrue(DiffText.of(diff, true).contains("settings spelled otherwise"));
  }

  @ParameterizedTest
  @CsvSource({
    "eos_token_id, 3",
    "eos_token_id, '[2, 3]'",
    "temperature, 0.5",
    "rope_parameters, '{\"rope_theta\": 20000.0}'",
    "dtype, '\"float32\"'",
    "rms_norm_eps, 0.5"
  })
  void anotherValueIsNoSpelling(String key, String value) throws IOException {
    Path before = Fixtures.randomMixtrals().getFirst();
    Path after = edited(before, json -> json.set(key, StrictJson.mapper(true).readTree(value)));
    Diff diff = Models.diff(before, after);
    assertEquals(Diff.Sense.DIFFERENT, diff.sense());
    assertTrue(
        diff.settings().stream().anyMatch(change -> change.what().contains(key)),
        diff.settings().toString());
  }

  @ParameterizedTest
  @CsvSource({
    "temperature, 1.0",
    "top_k, 50",
    "num_beams, 1",
    "eos_token_id, [2]",
    "layer_types, '[\"full_attention\"]'",
    "use_cache, false",
    "attention_bias, false"
  })
  void aDefaultWrittenOutIsASpelling(String key, String value) throws IOException {
    Path before = Fixtures.randomMixtrals().getFirst();
    Path after = edited(before, json -> json.set(key, StrictJson.mapper(true).readTree(value)));
    Diff diff = Models.diff(before, after);
    assertEquals(Diff.Sense.SAME_BYTES, diff.sense(), diff.settings().toString());
    assertFalse(diff.spelling().isEmpty());
  }

  @Test
  void whereTheConfigIsNotUnderstoodEveryKeyCounts() throws IOException {
    Path before = edited(Fixtures.randomMixtrals().getFirst(), json -> json.put("odd", 1));
    Path after = Fixtures.randomMixtrals().getFirst();
    assertEquals(Diff.Sense.DIFFERENT, Models.diff(before, after).sense());
  }

  private Path edited(Path from, Consumer<ObjectNode> change) throws IOException {
    Path to = Files.createDirectories(folder.resolve("c"));
    try (var files = Files.list(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
    ObjectNode json = StrictJson.readObject(to.resolve("config.json"));
    change.accept(json);
    Files.writeString(to.resolve("config.json"), json.toString());
    return to;
  }
}

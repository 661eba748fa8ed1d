package dev.moxie.converter.adapter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedAdapter;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Planner;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/**
 * An adapter that lies, lost something, or is none that is merged here is refused in a sentence.
 */
class HostileAdapterTest {
  private static final Path MIXTRAL = Fixtures.root().resolve("random/mixtral");
  private static final Path PEFT = Fixtures.root().resolve("adapters/mixtral");
  private static final String EXPERT = "model.layers.1.block_sparse_moe.experts.3.w2";
  private static final String A = "base_model.model." + EXPERT + ".lora_A.weight";
  private static final String B = "base_model.model." + EXPERT + ".lora_B.weight";

  private static final Shape OF_A = Shape.of(2, 96);
  private static final Shape OF_B = Shape.of(64, 2);

  /**
   * A lie.
   *
   * @param says what the message has
   */
  record Lie(String name, Consumer<EditedAdapter> edit, String... says) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static Lie config(String name, Consumer<ObjectNode> edit, String... says) {
    return new Lie(name, adapter -> adapter.config(edit), says);
  }

  static final List<Lie> LIES =
      List.of(
          new Lie("A without B", a -> a.without(B), A, "lora_B"),
          new Lie("B without A", a -> a.without(A), B, "lora_A"),
          new Lie(
              "a pair that got lost",
              a -> a.without(A).without(B),
              EXPERT,
              "adapter_config.json targets"),
          config("another rank than the factors'", j -> j.put("r", 3), "[3, 64]", "[2, 64]"),
          config(
              "a rank of its own that they do not have",
              j -> j.putObject("rank_pattern").put("experts\\.3\\.w2", 7),
              "layers.0.block_sparse_moe.experts.3.w2",
              "[7, 96]"),
          new Lie(
              "factors of another matrix",
              a -> a.random(EXPERT + ".lora_B.weight", Shape.of(96, 2)),
              B,
              "[64, 2]"),
          new Lie(
              "factors that are no matrix",
              a -> a.random(EXPERT + ".lora_A.weight", Shape.of(192)),
              A,
              "[192]"),
          new Lie(
              "factors of whole numbers",
              a -> a.put(A, Dtype.I32, Shape.of(2, 96), new byte[768]),
              A,
              "I32"),
          new Lie(
              "a module that the model does not have",
              a -> a.lora("model.layers.9.block_sparse_moe.experts.3.w2", OF_A, OF_B),
              "layers.9"),
          new Lie(
              "a way out of the folder",
              a -> a.lora("../../etc/passwd", OF_A, OF_B),
              "../../etc/passwd"),
          new Lie(
              "a module that is not targeted",
              a -> a.lora("model.layers.1.self_attn.o_proj", OF_A, OF_B),
              "o_proj",
              "targets"),
          new Lie(
              "factors twice, of experts one by one and of all",
              a ->
                  a.config(j -> j.putArray("target_parameters").add("mlp.experts.down_proj"))
                      .lora("model.layers.0.mlp.experts", Shape.of(16, 96), Shape.of(64, 16))
                      .lora("model.layers.1.mlp.experts", Shape.of(16, 96), Shape.of(64, 16))
                      .lora("model.layers.2.mlp.experts", Shape.of(16, 96), Shape.of(64, 16)),
              "another"),
          new Lie(
              "fewer wrappers than parameters",
              a ->
                  a.config(
                          j ->
                              j.putArray("target_parameters")
                                  .add("mlp.experts.down_proj")
                                  .add("mlp.experts.gate_up_proj"))
                      .lora("model.layers.1.mlp.experts", Shape.of(16, 96), Shape.of(64, 16)),
              "down_proj",
              "each wrapped once more"),
          new Lie(
              "a whole weight",
              a -> a.random("lm_head.weight", Shape.of(4, 4)),
              "lm_head.weight",
              "merge_and_unload"),
          new Lie(
              "magnitudes of DoRA",
              a -> a.random(EXPERT + ".lora_magnitude_vector", Shape.of(64)),
              "DoRA"),
          new Lie(
              "names without what peft puts before them",
              a -> a.put(EXPERT + ".lora_A.weight", Dtype.F32, Shape.of(1), new byte[4]),
              "base_model.model."),
          config("a key that nobody knows", j -> j.put("colour", "red"), "colour"),
          config("another kind of adapter", j -> j.put("peft_type", "LOHA"), "LOHA"),
          config("no kind", j -> j.remove("peft_type"), "peft_type"),
          config("DoRA", j -> j.put("use_dora", true), "use_dora"),
          config("biases that were trained", j -> j.put("bias", "all"), "bias"),
          config("a bias of B", j -> j.put("lora_bias", true), "lora_bias"),
          config(
              "modules that were trained whole",
              j -> j.putArray("modules_to_save").add("lm_head"),
              "modules_to_save"),
          config(
              "a base model that was changed first",
              j -> j.put("init_lora_weights", "pissa"),
              "init_lora_weights",
              "pissa"),
          config("matrices the other way round", j -> j.put("fan_in_fan_out", true), "fan_in"),
          config(
              "layers twice",
              j -> j.putArray("layer_replication").addArray().add(0).add(2),
              "layer_replication"),
          config("a rank of none", j -> j.put("r", 0), "\"r\""),
          config("a rank beyond counting", j -> j.put("r", 1L << 40), "\"r\""),
          config("an alpha that is no number", j -> j.put("lora_alpha", "16"), "lora_alpha"),
          config(
              "half a rank",
              j -> j.putObject("rank_pattern").put("w2", 1.5),
              "rank_pattern",
              "whole numbers"),
          config("a pattern that is none", j -> j.putObject("alpha_pattern").put("(w2", 1), "(w2"),
          config(
              "a pattern of Python alone",
              j -> j.put("target_modules", "(?P<a>w1)"),
              "target_modules"),
          config("targets that are no names", j -> j.putArray("target_modules").add(1), "strings"));

  @TempDir private Path folder;

  @ParameterizedTest
  @FieldSource("LIES")
  void aLieIsToldInOneSentence(Lie lie) {
    EditedAdapter adapter = EditedAdapter.of(PEFT, folder.resolve("adapter"));
    lie.edit().accept(adapter);
    adapter.write();
    String message = message(adapter.folder());
    for (String says : lie.says()) {
      assertTrue(message.contains(says), says + " in: " + message);
    }
    assertEquals(1, message.lines().count(), message);
    assertTrue(message.contains("adapter"), message);
  }

  private static String message(Path adapter) {
    InvalidInputException refused =
        assertThrows(
            InvalidInputException.class,
            () ->
                Planner.plan(
                    Checkpoint.open(MIXTRAL), Conversion.LOSSLESS, LoraAdapter.open(adapter)));
    return String.valueOf(refused.getMessage());
  }

  @Test
  void aPatternWithoutEndIsGivenUp() {
    EditedAdapter adapter =
        EditedAdapter.of(PEFT, folder.resolve("adapter"))
            .config(j -> j.put("target_modules", "((([a-z0-9._]+)+)+)+x"));
    Assertions.assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () -> assertTrue(message(adapter.folder()).contains("soon decided")));
  }

  @Test
  void aHeaderOfMoreBytesThanTheFileHasIsRefused() throws IOException {
    EditedAdapter adapter = EditedAdapter.of(PEFT, folder.resolve("adapter"));
    Path weights = adapter.folder().resolve("adapter_model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    Files.write(weights, Arrays.copyOf(bytes, bytes.length - 100));
    assertTrue(message(adapter.folder()).contains("adapter_model.safetensors"));
    bytes[5] = 1;
    Files.write(weights, bytes);
    assertTrue(message(adapter.folder()).contains("adapter_model.safetensors"));
  }

  @Test
  void whatIsMissingIsNamed() throws IOException {
    Path empty = Files.createDirectory(folder.resolve("empty"));
    assertTrue(message(empty).contains("adapter_config.json"));
    Files.copy(PEFT.resolve("adapter_config.json"), empty.resolve("adapter_config.json"));
    assertTrue(message(empty).contains("no file adapter_model.safetensors"));
    Files.createFile(empty.resolve("adapter_model.bin"));
    assertTrue(message(empty).contains("pickle"));
  }

  /** What is added to one of them would be added to both, which nobody trained. */
  @ParameterizedTest
  @ValueSource(strings = {"embed_tokens", "lm_head"})
  void tiedEndsAreRefused(String end) {
    Path ernie = Fixtures.root().resolve("random/ernie4_5_moe");
    boolean embedding = end.startsWith("embed");
    String module = embedding ? "model.embed_tokens" : "lm_head";
    String kind = embedding ? ".lora_embedding_" : ".lora_";
    String weight = embedding ? "" : ".weight";
    EditedAdapter adapter =
        EditedAdapter.in(folder.resolve("adapter"))
            .config(j -> j.putArray("target_modules").add(end))
            .random(module + kind + "A" + weight, Shape.of(2, 64))
            .random(module + kind + "B" + weight, Shape.of(64, 2))
            .write();
    String message =
        String.valueOf(
            assertThrows(
                    InvalidInputException.class,
                    () ->
                        Planner.plan(
                            Checkpoint.open(ernie),
                            Conversion.LOSSLESS,
                            LoraAdapter.open(adapter.folder())))
                .getMessage());
    assertTrue(message.contains("untie"), message);
  }
}

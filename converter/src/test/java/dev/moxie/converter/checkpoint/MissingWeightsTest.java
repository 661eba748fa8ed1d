package dev.moxie.converter.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Planner;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Where weights are missing, the message says what is there, and what would help. */
class MissingWeightsTest {
  private static final String FETCH = "fetch it again";

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "pytorch_model-00001-of-00002.bin, pickle, safetensors first",
    "model.pt, pickle, safetensors first",
    "consolidated.00.pth, original format, script",
    "params.json, original format, Hugging Face edition",
    "adapter_model.safetensors, an adapter, merge it into its base model",
    "adapter_config.json, an adapter, merge it into its base model",
    "m-Q4_K_M.gguf, GGUF, checkpoint that they were made from",
    "original/consolidated.00.pth, original format, script",
    "global_step8/mp_rank_00_model_states.pt, training framework, tool that trained it",
    "rust_model.ot, another framework, edition in safetensors",
    "model.safetensors.part, has not ended, let it end",
    "tf_model.h5, another framework, edition in safetensors",
    "model-00001-of-00002.safetensors, no index, model.safetensors.index.json",
    "weights.safetensors, another name, name it model.safetensors"
  })
  void weightsOfAnotherKindAreNoIncompleteDownload(String file, String found, String remedy)
      throws IOException {
    Files.createDirectories(folder.resolve(file).getParent());
    Files.writeString(folder.resolve(file), "x");
    Files.writeString(folder.resolve("training_args.bin"), "x");
    for (boolean config : new boolean[] {false, true}) {
      if (config) {
        Files.writeString(folder.resolve("config.json"), "{}");
      }
      String message = refusal(folder);
      assertTrue(message.contains(file) && message.contains(found), message);
      assertTrue(message.contains(remedy) && !message.contains(FETCH), message);
    }
  }

  @Test
  void aNameThatLeadsToNoFileIsNotOfferedAsItsOwnRemedy() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{}");
    Path weights = folder.resolve("model.safetensors");
    Files.createSymbolicLink(weights, folder.resolve("nowhere"));
    String message = refusal(folder);
    assertTrue(message.contains("a link to nothing"), message);
    assertFalse(message.contains("another name"), message);
    Files.delete(weights);
    Files.createDirectory(weights);
    message = refusal(folder);
    assertTrue(message.contains("a folder, pipe or device"), message);
    assertFalse(message.contains("another name"), message);
  }

  @Test
  void aFolderOfSnapshotsPointsToTheCheckpointInIt() throws IOException {
    EditedCheckpoint.of(Fixtures.randomMixtrals().getFirst(), folder.resolve("abc"));
    assertTrue(refusal(folder).contains("further down: abc"), refusal(folder));
  }

  @Test
  void onlyALostShardIsFetchedAgain() throws IOException {
    Path checkpoint = folder.resolve("c");
    copy(Fixtures.tinyMixtral(), checkpoint);
    Files.delete(checkpoint.resolve("model-00002-of-00003.safetensors"));
    String message = refusal(checkpoint);
    assertTrue(message.contains("2 of 3 are there") && message.contains(FETCH), message);
    Files.writeString(
        checkpoint.resolve("model-00002-of-00003.safetensors"),
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    assertTrue(refusal(checkpoint).contains("git lfs pull"), refusal(checkpoint));
  }

  @Test
  void anIndexThatNamesOtherFilesIsNotSaidToBeMissing() throws IOException {
    Path checkpoint = folder.resolve("c");
    copy(Fixtures.tinyMixtral(), checkpoint);
    Path index = checkpoint.resolve("model.safetensors.index.json");
    Files.writeString(index, Files.readString(index).replace(".safetensors\"", ".safetensors \""));
    String message = refusal(checkpoint);
    assertTrue(message.contains("weight files that no index names: model-00001-of"), message);
    assertTrue(message.contains("index.json that belongs to them"), message);
  }

  @Test
  void anIndexThatAgreesWithItselfAboutTwoOfThreeShardsHidesNothing() throws IOException {
    Path checkpoint = folder.resolve("c");
    copy(Fixtures.tinyMixtral(), checkpoint);
    Files.delete(checkpoint.resolve("model-00003-of-00003.safetensors"));
    Path index = checkpoint.resolve("model.safetensors.index.json");
    Files.writeString(
        index,
        Files.readString(index)
            .replaceAll("\"[^\"]+\": \"model-00003-of-00003.safetensors\",?\\s*", "")
            .replaceAll(",\\s*}", "}"));
    assertTrue(refusal(checkpoint).contains("2 of 3 weight files"), refusal(checkpoint));
  }

  static Stream<Arguments> names() {
    return Stream.of(
        names("base_model.model.model.embed_tokens", n -> "base_model.model." + n),
        names("language_model.model.embed_tokens", n -> "language_model." + n),
        names("model.language_model.embed", n -> n.replace("model.", "model.language_model.")),
        names("prefix, embed_tokens.weight", n -> n.replace("model.", "")),
        names("model.layers.0.moe.experts.0.w1.weight", n -> n.replace("block_sparse_moe", "moe")),
        names("no embedding, but a head, lm_head.weight [", n -> isEmbedding(n) ? null : n),
        names("no head; if", n -> n.equals("lm_head.weight") ? null : n),
        names("layers up to 0 only", n -> n.matches(".*layers\\.[1-9]\\..*") ? null : n),
        names("no tensors at all", n -> null),
        names("left it out", n -> n.endsWith("layers.1.self_attn.k_proj.weight") ? null : n));
  }

  private static boolean isEmbedding(String name) {
    return name.equals("model.embed_tokens.weight");
  }

  private static Arguments names(String found, UnaryOperator<String> change) {
    return Arguments.of(found, change);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("names")
  void theNamesThatAreThereAreSaid(String found, UnaryOperator<String> change) {
    EditedCheckpoint edited = mixtral().rename(change).write();
    String message = refusal(edited.folder());
    assertTrue(message.contains(found) && !message.contains(FETCH), message);
    assertEquals(1, message.lines().count(), message);
  }

  @ParameterizedTest
  @CsvSource({
    "model.layers.0.mlp.experts.gate_and_up_proj",
    "model.layers.0.block_sparse_moe.switch_mlp.gate_proj.weight",
    "model.layers.0.block_sparse_moe.experts.w1"
  })
  void expertsInAStackAreAnotherLayoutAndNotIncomplete(String stack) {
    EditedCheckpoint edited = mixtral().rename(n -> n.contains(".experts.") ? null : n);
    String message = refusal(edited.add(stack, Dtype.BF16, 4, 8, 8).write().folder());
    assertTrue(message.contains("fused into one tensor, as " + stack), message);
    assertFalse(message.contains("incomplete") || message.contains(FETCH), message);
  }

  @ParameterizedTest
  @CsvSource({
    "transformer.blocks.0.ffn.experts.mlp.w1, 1",
    "model.layers.0.block_sparse_moe.experts.w1.weight, 2",
    "model.layers.0.ffn.w1.weight, 1",
    "model.layers.0.mlp.input_linear.weight, 2"
  })
  void expertsInAMatrixAreAnotherLayoutAndNotRenamed(String stack, int projections) {
    EditedCheckpoint edited = mixtral();
    long[] one =
        edited.tensor("model.layers.0.block_sparse_moe.experts.0.w1.weight").shape().dims().stream()
            .mapToLong(Long::longValue)
            .toArray();
    long experts = edited.tensor("model.layers.0.block_sparse_moe.gate.weight").shape().dim(0);
    edited.rename(n -> n.contains(".experts.") ? null : n);
    edited.add(stack, Dtype.BF16, projections * experts * one[0], one[1]);
    String message = refusal(edited.write().folder());
    assertTrue(message.contains("one beside the other in a matrix, as " + stack), message);
    assertFalse(message.contains("rename"), message);
  }

  @ParameterizedTest
  @CsvSource({
    "self_attn.k_proj.weight, self_attn.qkv_proj.weight",
    "block_sparse_moe.experts.0.w1.weight, block_sparse_moe.experts.0.gate_up_proj.weight"
  })
  void projectionsInOneTensorAreAnotherLayoutAndNotRenamed(String lost, String fused) {
    EditedCheckpoint edited = mixtral().rename(n -> n.endsWith("0." + lost) ? null : n);
    edited.add("model.layers.0." + fused, Dtype.BF16, 3, 2);
    String message = refusal(edited.write().folder());
    assertTrue(message.contains("projections are fused into one tensor"), message);
    assertFalse(message.contains("rename"), message);
  }

  @Test
  void anAdapterThatWasNotMergedIsNamed() {
    EditedCheckpoint edited = mixtral().rename(n -> "base_model.model." + n);
    edited.add("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", Dtype.F32, 2, 2);
    String message = refusal(edited.write().folder());
    assertTrue(message.contains("merge it into its base model"), message);
  }

  private EditedCheckpoint mixtral() {
    return EditedCheckpoint.of(Fixtures.randomMixtrals().getFirst(), folder.resolve("c"));
  }

  private static void copy(Path from, Path to) throws IOException {
    Files.createDirectories(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
  }

  private static String refusal(Path checkpoint) {
    return String.valueOf(
        assertThrows(
                InvalidInputException.class,
                () -> Planner.plan(Checkpoint.open(checkpoint), Conversion.LOSSLESS))
            .getMessage());
  }
}

package dev.moxie.converter.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Planner;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where an index and the files beside it tell of more, or of less, than one model in one form. */
class IndexAndFilesTest {
  private static final String INDEX = "model.safetensors.index.json";
  private static final String WHOLE = "model.safetensors";
  private static final String EXTRA = "model-extra.safetensors";
  private static final String BUFFER = "model.rotary_emb.inv_freq";
  private static final List<String> SHARDS =
      List.of(
          "model-00001-of-00003.safetensors",
          "model-00002-of-00003.safetensors",
          "model-00003-of-00003.safetensors");

  @TempDir Path folder;
  private EditedCheckpoint whole;

  @BeforeEach
  void writeTheModelInOneFile() {
    whole = EditedCheckpoint.of(Fixtures.tinyMixtral(), folder.resolve("c"));
  }

  @Test
  void aWholeFileBesideShardsThatTheIndexReadsIsLeftBehind() throws IOException {
    addShards();
    addIndex();
    assertRead(Set.copyOf(SHARDS), Set.of(WHOLE));
  }

  @Test
  void shardsBesideAWholeFileThatTheIndexReadsAreLeftBehind() throws IOException {
    addShards();
    addIndex();
    whole.text(
        INDEX, Files.readString(file(INDEX)).replaceAll("\"model-0[^\"]*\"", "\"" + WHOLE + "\""));
    assertRead(Set.of(WHOLE), Set.copyOf(SHARDS));
  }

  @Test
  void shardsBesideAWholeFileWithoutIndexAreLeftBehind() throws IOException {
    addShards();
    assertRead(Set.of(WHOLE), Set.copyOf(SHARDS));
  }

  @ParameterizedTest
  @ValueSource(strings = {"{\"weight_map\": {}}", "{\"weight_map\": null}", "{\"metadata\": {}}"})
  void anIndexThatNamesNothingIsALeftoverOfTheWholeFile(String index) throws IOException {
    whole.text(INDEX, index);
    Checkpoint open = assertRead(Set.of(WHOLE), Set.of());
    assertTrue(open.notes().getFirst().contains(INDEX + " names no files"), open.notes()::toString);
    addShards();
    assertRead(Set.of(WHOLE), Set.copyOf(SHARDS));
    whole.without(WHOLE);
    String message = refusal();
    assertTrue(message.contains("weight_map") && message.contains("index that belongs"), message);
  }

  @Test
  void shardsOfAnIndexThatDoesNotCountAreLeftBehindWhateverTheyHold() throws IOException {
    addIndex();
    whole.text(SHARDS.getFirst(), "half a download");
    Checkpoint open = assertRead(Set.of(WHOLE), Set.of(SHARDS.getFirst()));
    assertTrue(open.notes().getFirst().contains("not all there"), open.notes()::toString);
  }

  @Test
  void copiesInAFileThatTheIndexDoesNotNameAreLeftBehind() throws IOException {
    addShards();
    addIndex();
    whole.without(WHOLE);
    Files.copy(file(SHARDS.getFirst()), file(EXTRA));
    assertRead(Set.copyOf(SHARDS), Set.of(EXTRA));
  }

  @Test
  void aFileThatTheIndexDoesNotNameIsNoCopyIfItHoldsATensorOfItsOwn() throws IOException {
    addShards();
    addIndex();
    whole.add("model.own", Dtype.BF16, 2).write();
    String message = refusal();
    assertTrue(message.contains(WHOLE) && message.contains("model.own"), message);
    assertTrue(message.contains("a weight file that the index names"), message);
  }

  @Test
  void withoutIndexNoneIsBlamed() throws IOException {
    addShards();
    whole.rename(name -> name.equals("lm_head.weight") ? null : name).write();
    String message = refusal();
    assertTrue(message.contains("beside the whole model") && message.contains("lm_head"), message);
    assertTrue(!message.contains("that the index names"), message);
  }

  @Test
  void aFileThatIsNotReadNeedNotBeFetchedButMayNotBeInDoubt() throws IOException {
    addShards();
    addIndex();
    whole.text(WHOLE, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    assertRead(Set.copyOf(SHARDS), Set.of(WHOLE));
    whole.text(WHOLE, "half a download");
    String message = refusal();
    assertTrue(message.contains(WHOLE) && message.contains("no readable header"), message);
    assertTrue(message.contains("move away"), message);
  }

  @Test
  void anIndexMayNameWhatIsComputedAnewAndNoFileHolds() throws IOException {
    addShards();
    addIndex();
    whole.without(WHOLE);
    name(BUFFER, SHARDS.getFirst());
    Checkpoint open = assertRead(Set.copyOf(SHARDS), Set.of());
    assertTrue(open.notes().getFirst().contains(BUFFER), open.notes()::toString);
    name("model.layers.0.self_attn.rotary_emb.inv_freq", "model-00004-of-00004.safetensors");
    assertRead(Set.copyOf(SHARDS), Set.of());
    name("model.ghost.weight", SHARDS.getFirst());
    assertTrue(refusal().contains("model.ghost.weight"), refusal());
  }

  @Test
  void whatIsComputedAnewIsKeptThoughTheIndexDoesNotNameIt() throws IOException {
    addIndex();
    String all = "\"" + WHOLE + "\"";
    whole.text(INDEX, Files.readString(file(INDEX)).replaceAll("\"model-0[^\"]*\"", all));
    whole.add(BUFFER, Dtype.F32, 8).write();
    Checkpoint open = assertRead(Set.of(WHOLE), Set.of());
    assertTrue(open.tensors().containsKey(BUFFER));
    whole.add("model.ghost.weight", Dtype.F32, 8).write();
    assertTrue(refusal().contains("model.ghost.weight"), refusal());
  }

  @Test
  void anAdapterBesideAWholeModelIsNamedAndNotPassedOver() {
    whole.text("adapter_config.json", "{}");
    assertAdapter("adapter_config.json");
    whole.without("adapter_config.json").text("adapter_model.safetensors", "x");
    assertAdapter("adapter_model.safetensors");
    whole.without("adapter_model.safetensors");
    whole.put(
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        Dtype.F32,
        Shape.of(1),
        new byte[4]);
    whole.write();
    assertAdapter("lora_A");
  }

  private void assertAdapter(String name) {
    String message = refusal();
    assertTrue(message.contains(name) && message.contains("an adapter"), message);
    assertTrue(message.contains("merge it into its base model"), message);
    assertTrue(!message.contains("belong together"), message);
  }

  /** Opens and plans; every tensor of the model is read, and superseded files are named. */
  private Checkpoint assertRead(Set<String> files, Set<String> left) {
    Checkpoint open = Checkpoint.open(whole.folder());
    Planner.plan(open, Conversion.LOSSLESS);
    assertEquals(new TreeSet<>(files), new TreeSet<>(open.headers().keySet()));
    assertEquals(
        new TreeSet<>(left),
        open.left().stream().map(LeftBehind::name).collect(Collectors.toCollection(TreeSet::new)));
    assertEquals(
        files,
        open.tensors().values().stream().map(SourceTensor::file).collect(Collectors.toSet()));
    left.forEach(name -> assertTrue(!open.companions().contains(name), name));
    return open;
  }

  private String refusal() {
    String message =
        String.valueOf(
            assertThrows(
                    InvalidInputException.class,
                    () -> Planner.plan(Checkpoint.open(whole.folder()), Conversion.LOSSLESS))
                .getMessage());
    assertEquals(1, message.lines().count(), message);
    return message;
  }

  private void name(String tensor, String file) throws IOException {
    whole.text(
        INDEX,
        Files.readString(file(INDEX))
            .replaceFirst(
                "(\"weight_map\"\\s*:\\s*\\{)", "$1\"%s\": \"%s\",".formatted(tensor, file)));
  }

  private void addShards() throws IOException {
    for (String shard : SHARDS) {
      Files.copy(Fixtures.tinyMixtral().resolve(shard), file(shard));
    }
  }

  private void addIndex() throws IOException {
    Files.copy(Fixtures.tinyMixtral().resolve(INDEX), file(INDEX));
  }

  private Path file(String name) {
    return whole.folder().resolve(name);
  }
}

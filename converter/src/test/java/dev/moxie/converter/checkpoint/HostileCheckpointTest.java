package dev.moxie.converter.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.SyntheticMixtral;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Planner;
import dev.moxie.fixtures.MixtralConfig;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Checkpoints that must be refused, each in one sentence that names the culprit. */
class HostileCheckpointTest {
  private static final String FIRST = "model-00001-of-00003.safetensors";
  private static final String SECOND = "model-00002-of-00003.safetensors";
  private static final String INDEX = "model.safetensors.index.json";

  @TempDir Path folder;
  private Path checkpoint;

  @BeforeEach
  void write() {
    checkpoint = folder.resolve("c");
    SyntheticMixtral.write(checkpoint, new MixtralConfig(2, 64, 32, 4, 2, 1, 1, 64, 50));
  }

  static Stream<Arguments> configs() {
    return Stream.of(
        config("missing hidden size", "\"hidden_size\": 64,", "", "hidden_size"),
        config("missing experts", "\"num_local_experts\": 4,", "", "num_local_experts"),
        config("missing model type", "\"model_type\": \"mixtral\",", "", "model_type"),
        config("unknown family", "\"mixtral\"", "\"mixtrel\"", "model_type"),
        config("another task", "MixtralForCausalLM", "MixtralForTokens", "architectures"),
        config("fractional size", "size\": 64,", "size\": 64.5,", "hidden_size"),
        config("size as text", "size\": 64,", "size\": \"64\",", "hidden_size"),
        config("negative size", "size\": 64,", "size\": -64,", "hidden_size"),
        config(
            "size of 10^30",
            "size\": 64,",
            "size\": 1000000000000000000000000000000,",
            "hidden_size"),
        config("size of 2^30", "size\": 64,", "size\": 1073741824,", "hidden_size"),
        config("layers of 2^31 - 1", "layers\": 2", "layers\": 2147483647", "num_hidden_layers"),
        config("a third layer", "layers\": 2", "layers\": 3", "model.layers.2.input"),
        config("a layer fewer", "layers\": 2", "layers\": 1", "model.layers.1."),
        config("an expert more", "experts\": 4", "experts\": 5", "gate.weight"),
        config("an expert fewer", "experts\": 4", "experts\": 3", "gate.weight"),
        config("more chosen than there are", "tok\": 2", "tok\": 5", "num_experts_per_tok"),
        config("no expert chosen", "tok\": 2", "tok\": 0", "num_experts_per_tok"),
        config("another width", "intermediate_size\": 32", "intermediate_size\": 48", "w1"),
        config("another vocabulary", "vocab_size\": 50", "vocab_size\": 51", "embed_tokens"),
        config("no heads", "attention_heads\": 1,", "attention_heads\": 0,", "num_attention"),
        config(
            "more key heads than heads",
            "value_heads\": 1",
            "value_heads\": 2",
            "num_key_value_heads"),
        config("zero epsilon", "1e-05", "0", "rms_norm_eps"),
        config("infinite epsilon", "1e-05", "1e999", "rms_norm_eps"),
        config("NaN theta", "1000000.0", "NaN", "valid JSON"),
        config("another activation", "\"silu\"", "\"gelu\"", "hidden_act"),
        config("tied, but with a head", "embeddings\": false", "embeddings\": true", "lm_head"),
        config("tied as text", "embeddings\": false", "embeddings\": \"no\"", "tie_word"),
        config("an fp8 dtype", "\"bfloat16\"", "\"float8\"", "torch_dtype"),
        config("two dtypes", "\"vocab", "\"dtype\": \"float16\", \"vocab", "dtype"),
        config("two thetas", "\"vocab", two("1.0"), "rope_theta"),
        config("positions that are scaled by nothing", "\"vocab", scaled(), "factor"),
        config("old scaled positions", "\"vocab", "\"rope_scaling\": {}, \"vocab", "rope_scaling"),
        config("quantised", "\"vocab", "\"quantization_config\": {}, \"vocab", "quantization"),
        config("an unknown key", "\"vocab", "\"use_mirrors\": true, \"vocab", "use_mirrors"),
        config("a key twice", "\"vocab", "\"hidden_size\": 64, \"vocab", "Duplicate"),
        config("no window at all", "\"vocab", "\"sliding_window\": 0, \"vocab", "sliding_window"),
        config("an odd head", "head_dim\": 64", "head_dim\": 63", "rotary.dimensions"),
        config("no object", "{", "[{", "valid JSON"));
  }

  private static String two(String theta) {
    return "\"rope_parameters\": {\"rope_theta\": " + theta + "}, \"vocab";
  }

  private static String scaled() {
    return "\"rope_parameters\": {\"rope_theta\": 1e6, \"rope_type\": \"yarn\"}, \"vocab";
  }

  private static Arguments config(String name, String from, String to, String culprit) {
    return Arguments.of(name, from, to, culprit);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("configs")
  void aConfigThatIsWrong(String name, String from, String to, String culprit) throws IOException {
    edit("config.json", from, to);
    assertRefused(culprit);
  }

  static Stream<Arguments> indexes() {
    return Stream.of(
        config("a file that is not there", "\"" + FIRST, "\"model-9.safetensors", "model-9"),
        config("a path that leaves", "\"" + FIRST, "\"../c/" + FIRST, "stays inside"),
        config("an absolute path", "\"" + FIRST, "\"/etc/passwd", "stays inside"),
        config("a path into a folder", "\"" + FIRST, "\"sub/" + FIRST, "beside the index"),
        config("a number for a file", "\"" + FIRST + "\"", "7", "name of a weight file"),
        config("a tensor in another file", wrongPlace(FIRST), wrongPlace(SECOND), "embed_tokens"),
        config("a tensor left out", wrongPlace(FIRST) + ",", "", "no entry"),
        config(
            "a tensor that no file has",
            "\"lm_head",
            "\"ghost\" : \"" + FIRST + "\", \"lm_head",
            "ghost"),
        config("no map", "weight_map", "weightmap", "weight_map"));
  }

  private static String wrongPlace(String file) {
    return "\"model.embed_tokens.weight\" : \"" + file + "\"";
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("indexes")
  void anIndexThatIsWrong(String name, String from, String to, String culprit) throws IOException {
    edit(INDEX, from, to);
    assertRefused(culprit);
  }

  @Test
  void headsThatDoNotDivideTheHiddenSizeWhereNoHeadSizeIsStated() throws IOException {
    edit("config.json", "\"head_dim\": 64,", "");
    edit("config.json", "attention_heads\": 1,", "attention_heads\": 3,");
    assertRefused("num_attention_heads");
  }

  @Test
  void aShardThatIsGone() throws IOException {
    Files.delete(checkpoint.resolve(SECOND));
    assertRefused(SECOND);
  }

  @Test
  void aShardCutShort() throws IOException {
    try (var file = new RandomAccessFile(checkpoint.resolve(SECOND).toFile(), "rw")) {
      file.setLength(file.length() - 1);
    }
    assertRefused(SECOND);
  }

  @Test
  void aConfigOfManyGigabytes() throws IOException {
    try (var file = new RandomAccessFile(checkpoint.resolve("config.json").toFile(), "rw")) {
      file.setLength(1L << 40);
    }
    assertRefused("config.json");
  }

  @Test
  void expertsOfMixedDtypes() {
    rewriteShard("model.layers.0.block_sparse_moe.experts.2.w3.weight", Dtype.F16);
    assertRefused("experts.2.w3");
  }

  @Test
  void weightsOfADtypeThatIsNotConverted() {
    rewriteShard("model.layers.0.input_layernorm.weight", Dtype.I16);
    assertRefused("input_layernorm");
  }

  @Test
  void aKeyThatTheUserDeclaresHarmlessIsLetThroughAndRecorded() throws IOException {
    edit("config.json", "\"vocab", "\"use_mirrors\": true, \"vocab");
    ConversionPlan plan =
        Planner.plan(
            Checkpoint.open(checkpoint), new Conversion(Set.of("use_mirrors"), null, null));
    assertEquals(Set.of("use_mirrors"), plan.conversion().ignoredConfigKeys());
    assertFalse(plan.shards().isEmpty());
  }

  /** Writes a tensor's shard anew, with another dtype of the same width for that tensor. */
  private void rewriteShard(String name, Dtype dtype) {
    Path path = checkpoint.resolve(Checkpoint.open(checkpoint).tensors().get(name).file());
    List<SafetensorsWriter.Tensor> tensors;
    try (var file = dev.moxie.format.safetensors.SafetensorsFile.open(path)) {
      tensors =
          file.header().tensors().stream()
              .map(
                  info ->
                      new SafetensorsWriter.Tensor(
                          info.name(),
                          info.name().equals(name) ? dtype : info.dtype(),
                          new Shape(info.shape().dims()),
                          ByteBuffer.allocate((int) info.bytes())))
              .toList();
    }
    SafetensorsWriter.write(path, Map.of("format", "pt"), tensors);
  }

  private void edit(String file, String from, String to) throws IOException {
    Path path = checkpoint.resolve(file);
    String text = Files.readString(path);
    int at = text.indexOf(from);
    assertTrue(at >= 0, from);
    Files.writeString(path, text.substring(0, at) + to + text.substring(at + from.length()));
  }

  private void assertRefused(String culprit) {
    String message =
        assertThrows(
                InvalidInputException.class,
                () -> Planner.plan(Checkpoint.open(checkpoint), Conversion.LOSSLESS))
            .getMessage();
    assertTrue(message.contains(culprit), message);
    assertEquals(1, message.lines().count(), message);
  }
}

package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.family.ReleaseTensors;
import dev.moxie.converter.plan.Progress;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorDeclaration;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

/** DeepSeek checkpoints in sizes and equations that nobody released, against the oracle. */
class AnyDeepSeekTest {
  @Property(tries = 40)
  void runsInBothExecutionsLikeTheOracleAndComesBack(@ForAll long seed) throws IOException {
    Path folder = Files.createTempDirectory("moxie-deepseek");
    try {
      var random = new Random(seed);
      write(folder.resolve("c"), random);
      Packages.convert(folder.resolve("c"), folder.resolve("p"));
      try (MoxiePackage pack = MoxiePackage.open(folder.resolve("p"))) {
        for (Execution execution : Execution.of(Device.CPU)) {
          try (Model model = execution.open(pack, Device.CPU, new Unproven())) {
            Comparison logits =
                LoweringCheck.compare(pack, model, dev.moxie.verifier.oracle.Precision.F32);
            assertEquals(Verdict.PASS, logits.verdict(), execution + ": " + logits);
          }
        }
        assertTrue(Exporter.export(pack, folder.resolve("e"), 1, Progress.NONE).asItWas());
      }
      for (String name : List.of("config.json", "model.safetensors")) {
        assertEquals(
            -1,
            Files.mismatch(folder.resolve("c").resolve(name), folder.resolve("e").resolve(name)));
      }
    } finally {
      try (Stream<Path> walk = Files.walk(folder)) {
        walk.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
      }
    }
  }

  private static int of(Random random, int least, int most) {
    return least + random.nextInt(most - least + 1);
  }

  private static void write(Path folder, Random random) throws IOException {
    boolean third = random.nextBoolean();
    int groups = of(random, 1, 4);
    int kept = of(random, 1, groups);
    int perGroup = of(random, 2, 4);
    int heads = of(random, 1, 4);
    int layers = of(random, 1, 3);
    String yarn =
        random.nextBoolean()
            ? "null"
            : """
            {"type": "yarn", "factor": %d, "mscale": 1.0, "mscale_all_dim": %s,
             "beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings": %d}\
            """
                .formatted(
                    of(random, 2, 40), random.nextBoolean() ? "1.0" : "0.5", of(random, 2, 99));
    String config =
        """
        {"model_type": "%s", "hidden_act": "silu", "vocab_size": 23, "hidden_size": %d,
         "num_hidden_layers": %d, "first_k_dense_replace": %d, "intermediate_size": %d,
         "moe_intermediate_size": %d, "n_routed_experts": %d, "n_shared_experts": %d,
         "num_experts_per_tok": %d, "n_group": %d, "topk_group": %d, "topk_method": "%s",
         "norm_topk_prob": %s, "routed_scaling_factor": %s, "num_attention_heads": %d,
         "q_lora_rank": %s, "kv_lora_rank": %d, "qk_nope_head_dim": %d, "qk_rope_head_dim": %d,
         "v_head_dim": %d, "rms_norm_eps": 1e-5, "rope_theta": 10000, "rope_scaling": %s,
         "tie_word_embeddings": %s, "max_position_embeddings": 64%s%s}
        """
            .formatted(
                third ? "deepseek_v3" : "deepseek_v2",
                of(random, 1, 150),
                layers,
                of(random, 0, layers),
                of(random, 1, 150),
                of(random, 1, 140),
                groups * perGroup,
                of(random, 0, 2),
                of(random, 1, kept * 2),
                groups,
                kept,
                third ? "noaux_tc" : random.nextBoolean() ? "greedy" : "group_limited_greedy",
                third && random.nextBoolean(),
                random.nextBoolean() ? "1.0" : "2.5",
                heads,
                random.nextBoolean() ? "null" : "" + of(random, 1, 140),
                of(random, 1, 40),
                of(random, 1, 20),
                2 * of(random, 1, 8),
                of(random, 1, 20),
                yarn,
                random.nextBoolean(),
                third && random.nextBoolean() ? ", \"rope_interleave\": false" : "",
                quantisation(random));
    write(folder, config, random);
  }

  /** How matrices are stored that can be stored so. */
  private static String quantisation(Random random) {
    String compressed =
        """
        , "quantization_config": {"quant_method": "compressed-tensors", "format": "%s",
         "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"type": "%s",
          "symmetric": true, "num_bits": %d, "strategy": "%s", "group_size": %s}}},
         "ignore": ["lm_head", "re:.*mlp.gate$"]}\
        """;
    return switch (random.nextInt(4)) {
      case 0 -> "";
      case 1 ->
          ", \"quantization_config\": {\"quant_method\": \"fp8\","
              + " \"weight_block_size\": [128, 128]}";
      case 2 -> compressed.formatted("float-quantized", "float", 8, "channel", "null");
      default -> compressed.formatted("pack-quantized", "int", 4, "group", of(random, 1, 70));
    };
  }

  /** A checkpoint of random weights, such that activations stay of order one. */
  static void write(Path folder, String config, Random random) throws IOException {
    Files.createDirectories(folder);
    Files.writeString(folder.resolve("config.json"), config);
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    Shape last = Shape.of();
    for (TensorDeclaration tensor :
        ReleaseTensors.of(Config.read(folder.resolve("config.json"), Set.of()))) {
      last = tensor.name().endsWith("_packed") ? tensor.shape() : last;
      ByteBuffer values = tensor.name().endsWith("_shape") ? shape(last) : values(tensor, random);
      tensors.add(
          new SafetensorsWriter.Tensor(tensor.name(), tensor.dtype(), tensor.shape(), values));
    }
    SafetensorsWriter.write(folder.resolve("model.safetensors"), Map.of("format", "pt"), tensors);
  }

  /** What is said of the shape of a matrix whose numbers stand eight to a value. */
  private static ByteBuffer shape(Shape packed) {
    return ByteBuffer.allocate(2 * Integer.BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(Math.toIntExact(packed.dim(0)))
        .putInt(8 * Math.toIntExact(packed.dim(1)))
        .flip();
  }

  private static ByteBuffer values(TensorDeclaration tensor, Random random) {
    Shape shape = tensor.shape();
    int elements = Math.toIntExact(shape.elements());
    boolean vector = shape.rank() == 1;
    boolean norm = vector && tensor.name().contains("norm");
    boolean scales = tensor.name().matches(".*[._]scales?(_inv)?");
    double width = shape.dim(shape.rank() - 1);
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(tensor.bytes())).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < elements; i++) {
      double normal = random.nextGaussian();
      switch (tensor.dtype()) {
        case F32 ->
            // Block scales, or the bias that steers the router.
            bytes.putFloat((float) (scales ? 0.01 * (0.5 + random.nextDouble()) : 0.2 * normal));
        case BF16 -> {
          double other = vector ? 0.5 * normal : normal / Math.sqrt(width);
          double matrix = scales ? 0.02 * (0.5 + random.nextDouble()) : other;
          double value = norm ? 1 + 0.1 * normal : matrix;
          bytes.putShort((short) (Float.floatToIntBits((float) value) >> 16));
        }
        case I32 -> bytes.putInt(random.nextInt());
        // Experts of tokens, one after the other, of five.
        case I64 -> bytes.putLong(i % 5);
        // Any code but those of no number, between -18 and 18.
        default -> bytes.put((byte) (random.nextInt(0x59) | (random.nextBoolean() ? 0x80 : 0)));
      }
    }
    return bytes.flip();
  }
}

package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.plan.Progress;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.CanonicalTensors;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
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
        for (Execution execution : Execution.values()) {
          try (Model model = execution.open(pack, Device.CPU)) {
            Comparison logits = LoweringCheck.compare(pack, model, 0x1p-24);
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
    Files.createDirectories(folder);
    boolean third = random.nextBoolean();
    boolean scaled = random.nextBoolean();
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
                scaled
                    ? ", \"quantization_config\": {\"quant_method\": \"fp8\","
                        + " \"weight_block_size\": [128, 128]}"
                    : "");
    Files.writeString(folder.resolve("config.json"), config);
    Config read = Config.read(folder.resolve("config.json"), Set.of());
    Family family = Families.of(read);
    Architecture architecture = family.describe(read).architecture();
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    for (TensorSpec spec : CanonicalTensors.of(architecture)) {
      for (TensorSpec.Leaf leaf : spec.leaves()) {
        String name = family.translate(leaf.source());
        Shape shape = leaf.shape();
        boolean fp8 = scaled && shape.rank() == 2 && isScaled(spec.role());
        tensors.add(
            new SafetensorsWriter.Tensor(
                name,
                fp8 ? Dtype.F8_E4M3 : dtype(spec),
                shape,
                values(shape, fp8 ? Dtype.F8_E4M3 : dtype(spec), spec.role(), random)));
        if (fp8) {
          Shape grid = Fp8Blocks.grid(shape);
          tensors.add(
              new SafetensorsWriter.Tensor(
                  name + "_scale_inv",
                  Dtype.F32,
                  grid,
                  values(grid, Dtype.F32, Role.SCALE, random)));
        }
      }
    }
    SafetensorsWriter.write(folder.resolve("model.safetensors"), Map.of("format", "pt"), tensors);
  }

  private static boolean isScaled(Role role) {
    return role != Role.EMBEDDING && role != Role.HEAD && role != Role.ROUTER;
  }

  private static Dtype dtype(TensorSpec spec) {
    return spec.role() == Role.ROUTER_BIAS ? Dtype.F32 : Dtype.BF16;
  }

  /** Such that activations stay of order one. */
  private static ByteBuffer values(Shape shape, Dtype dtype, Role role, Random random) {
    int elements = Math.toIntExact(shape.elements());
    double width = shape.dim(shape.rank() - 1);
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(shape.bytes(dtype))).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < elements; i++) {
      float value =
          switch (role) {
            case ROUTER_BIAS -> (float) (0.2 * random.nextGaussian());
            case SCALE -> (float) (0.01 * (0.5 + random.nextDouble()));
            default ->
                (float)
                    (shape.rank() == 1
                        ? 1 + 0.1 * random.nextGaussian()
                        : random.nextGaussian() / Math.sqrt(width));
          };
      switch (dtype) {
        case F32 -> bytes.putFloat(value);
        case BF16 -> bytes.putShort((short) (Float.floatToIntBits(value) >> 16));
        // Any code but those of no number, between -18 and 18.
        default -> bytes.put((byte) (random.nextInt(0x59) | (random.nextBoolean() ? 0x80 : 0)));
      }
    }
    return bytes.flip();
  }
}

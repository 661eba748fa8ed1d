package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.blocks;
import static dev.moxie.verifier.WrongPlans.routing;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Weights;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BiFunction;

/**
 * Makes {@code format-spec/conformance/numbers}: packages of random weights, and what a forward
 * pass must make of them, as SPEC.md, section 9, explains. Run {@code main} with that folder after
 * a change of the format.
 */
final class NumericVectors {
  private static final int TOKENS = 7;

  /** A checkpoint's config, how it becomes a package, and which executions take it. */
  private record Model(
      String name,
      String config,
      BiFunction<Path, Path, Path> conversion,
      Set<Execution> executions) {
    Model(String name, String config, BiFunction<Path, Path, Path> conversion) {
      this(name, config, conversion, EnumSet.allOf(Execution.class));
    }
  }

  private static final List<Model> MODELS =
      List.of(
          new Model(
              "grouped-query",
              """
              {"model_type": "mixtral", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 12,
               "num_hidden_layers": 2, "intermediate_size": 10, "num_local_experts": 5,
               "num_experts_per_tok": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
               "head_dim": 6, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "sliding_window": 3,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "grouped-query-tied-head",
              """
              {"model_type": "mixtral", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 8,
               "num_hidden_layers": 1, "intermediate_size": 6, "num_local_experts": 4,
               "num_experts_per_tok": 3, "num_attention_heads": 2, "num_key_value_heads": 1,
               "head_dim": 4, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
               "sliding_window": null, "max_position_embeddings": 64,
               "tie_word_embeddings": true}
              """,
              Packages::convert),
          new Model(
              "latent-fp8-yarn-grouped-sigmoid",
              """
              {"model_type": "deepseek_v3", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 14, "num_hidden_layers": 2, "first_k_dense_replace": 1,
               "intermediate_size": 131, "moe_intermediate_size": 130, "n_routed_experts": 6,
               "n_shared_experts": 1, "num_experts_per_tok": 3, "n_group": 3, "topk_group": 2,
               "topk_method": "noaux_tc", "norm_topk_prob": true, "routed_scaling_factor": 2.5,
               "num_attention_heads": 2, "q_lora_rank": 9, "kv_lora_rank": 7,
               "qk_nope_head_dim": 5, "qk_rope_head_dim": 16, "v_head_dim": 4,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 2048,
               "rope_scaling": {"type": "yarn", "factor": 4, "mscale": 1.0,
                "mscale_all_dim": 0.5, "beta_fast": 4, "beta_slow": 1,
                "original_max_position_embeddings": 512}, "tie_word_embeddings": false,
               "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
              """,
              Packages::convert),
          new Model(
              "latent-softmax-cast-to-bf16",
              """
              {"model_type": "deepseek_v2", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 14, "num_hidden_layers": 2, "first_k_dense_replace": 0,
               "intermediate_size": 9, "moe_intermediate_size": 11, "n_routed_experts": 6,
               "n_shared_experts": 2, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
               "topk_method": "group_limited_greedy", "norm_topk_prob": false,
               "routed_scaling_factor": 3.0, "num_attention_heads": 3, "q_lora_rank": null,
               "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 5,
               "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": null,
               "max_position_embeddings": 64, "tie_word_embeddings": false,
               "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
              """,
              (checkpoint, target) -> Packages.cast(checkpoint, target, Dtype.BF16)),
          new Model(
              "latent-epsilon-and-yarn-beyond-its-dimensions",
              """
              {"model_type": "deepseek_v2", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 10, "num_hidden_layers": 1, "first_k_dense_replace": 0,
               "intermediate_size": 9, "moe_intermediate_size": 7, "n_routed_experts": 4,
               "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
               "topk_method": "greedy", "norm_topk_prob": false, "routed_scaling_factor": 1.5,
               "num_attention_heads": 2, "q_lora_rank": 6, "kv_lora_rank": 5,
               "qk_nope_head_dim": 3, "qk_rope_head_dim": 8, "v_head_dim": 4,
               "rms_norm_eps": 1e-6, "rope_theta": 10.0, "max_position_embeddings": 64,
               "rope_scaling": {"type": "yarn", "factor": 16, "mscale": 0.5,
                "mscale_all_dim": 1.0, "beta_fast": 512, "beta_slow": 1,
                "original_max_position_embeddings": 4096}, "tie_word_embeddings": false}
              """,
              (checkpoint, target) ->
                  Packages.convert(
                      checkpoint,
                      target,
                      blocks(
                          b ->
                              b.withAttention(
                                  withEpsilon((Attention.MultiHeadLatent) b.attention(), 0.25))))),
          new Model(
              "latent-yarn-whose-ends-meet",
              """
              {"model_type": "deepseek_v2", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 10, "num_hidden_layers": 1, "first_k_dense_replace": 0,
               "intermediate_size": 9, "moe_intermediate_size": 7, "n_routed_experts": 4,
               "n_shared_experts": null, "num_experts_per_tok": 2, "n_group": 1,
               "topk_group": 1, "topk_method": "greedy", "norm_topk_prob": false,
               "routed_scaling_factor": 1.0, "num_attention_heads": 2, "q_lora_rank": null,
               "kv_lora_rank": 5, "qk_nope_head_dim": 3, "qk_rope_head_dim": 8, "v_head_dim": 4,
               "rms_norm_eps": 1e-6, "rope_theta": 10.0, "max_position_embeddings": 64,
               "rope_scaling": {"type": "yarn", "factor": 16, "mscale": 1.0,
                "mscale_all_dim": 1.0, "beta_fast": 32, "beta_slow": 1,
                "original_max_position_embeddings": 4}, "tie_word_embeddings": false}
              """,
              Packages::convert),
          new Model(
              "sigmoid-bias-in-the-weights",
              """
              {"model_type": "deepseek_v3", "hidden_act": "silu", "vocab_size": 19,
               "hidden_size": 10, "num_hidden_layers": 1, "first_k_dense_replace": 0,
               "intermediate_size": 9, "moe_intermediate_size": 7, "n_routed_experts": 6,
               "n_shared_experts": 0, "num_experts_per_tok": 3, "n_group": 2, "topk_group": 1,
               "topk_method": "noaux_tc", "norm_topk_prob": true, "routed_scaling_factor": 2.0,
               "num_attention_heads": 2, "q_lora_rank": null, "kv_lora_rank": 5,
               "qk_nope_head_dim": 3, "qk_rope_head_dim": 4, "v_head_dim": 4,
               "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": null,
               "max_position_embeddings": 64, "tie_word_embeddings": false}
              """,
              (checkpoint, target) ->
                  Packages.convert(
                      checkpoint,
                      target,
                      routing(
                          r ->
                              r.withBias(Routing.Bias.SELECTION_AND_WEIGHTS)
                                  .withNormalisation(new Routing.Normalisation(0.125)))),
              EnumSet.of(Execution.PLAIN)));

  /** In one order, so that the files are the same every time. */
  private static final Map<String, String> METADATA =
      new TreeMap<>(Map.of("compute_dtype", "F32", "producer", "Moxie's oracle, in float64"));

  private NumericVectors() {}

  private static Attention withEpsilon(Attention.MultiHeadLatent a, double epsilon) {
    return new Attention.MultiHeadLatent(
        a.heads(),
        a.queryRank(),
        a.latentSize(),
        a.plainSize(),
        a.valueSize(),
        a.scale(),
        epsilon,
        a.rotary());
  }

  static List<String> names() {
    return MODELS.stream().map(Model::name).toList();
  }

  /** The executions that compute it; the others refuse it. */
  static Set<Execution> executions(String name) {
    return MODELS.stream()
        .filter(m -> m.name().equals(name))
        .map(Model::executions)
        .findFirst()
        .orElseThrow();
  }

  /** Writes all of them. */
  static void write(Path root, Path scratch) throws IOException {
    for (Model model : MODELS) {
      Path checkpoint = scratch.resolve(model.name());
      AnyDeepSeekTest.write(checkpoint, model.config(), new Random(model.name().hashCode()));
      Path folder = Files.createDirectories(root.resolve(model.name()));
      Path target = folder.resolve("package");
      model.conversion().apply(checkpoint, target);
      try (MoxiePackage pack = MoxiePackage.open(target)) {
        writeExpected(pack, folder.resolve("expected.safetensors"));
      }
    }
  }

  private static void writeExpected(MoxiePackage pack, Path file) throws IOException {
    var architecture = pack.architecture();
    long[] ids = new long[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
      ids[i] = (5L * i + 2) % architecture.vocabSize();
    }
    var oracle = new Oracle(architecture, Weights.asStored(pack), Precision.F32);
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    tensors.add(tensor("input_ids", Dtype.I64, Shape.of(TOKENS), into -> put(into, ids)));
    Estimate hidden = oracle.embed(ids);
    for (int layer = 0; layer < architecture.layers().size(); layer++) {
      String prefix = "layers." + layer + ".";
      Oracle.Layer result = oracle.layer(layer, hidden, null);
      tensors.add(floats(prefix + "input", hidden));
      tensors.add(floats(prefix + "output", result.output()));
      Oracle.Mixture mixture = result.mixture();
      if (mixture != null
          && architecture.layers().get(layer).feedForward()
              instanceof FeedForward.MixtureOfExperts moe) {
        requireClear(moe.routing(), mixture, pack.folder() + ", layer " + layer);
        int k = moe.routing().expertsPerToken();
        tensors.add(floats(prefix + "router.logits", mixture.routerLogits()));
        tensors.add(
            tensor(
                prefix + "router.experts",
                Dtype.I32,
                Shape.of(TOKENS, k),
                into -> mixture.routed().experts().forEach(row -> put(into, row))));
        tensors.add(floats(prefix + "router.weights", mixture.routed().weights()));
        tensors.add(bounds(prefix + "router.weights.bound", mixture.routed().weights()));
        tensors.add(floats(prefix + "experts.output", mixture.expertsOutput()));
      }
      hidden = result.output();
    }
    Estimate logits = oracle.head(hidden);
    tensors.add(floats("logits", logits));
    tensors.add(bounds("logits.bound", logits));
    SafetensorsWriter.write(file, METADATA, tensors);
  }

  /** A choice that rounding may change would make a right reader fail. */
  private static void requireClear(Routing routing, Oracle.Mixture mixture, String where) {
    int clear = new Selection(routing, mixture.routed()).firstUnclear();
    if (clear < TOKENS) {
      throw new IllegalStateException(where + ": the choice of token " + clear + " is unclear");
    }
  }

  private interface Values {
    void put(ByteBuffer into);
  }

  private static SafetensorsWriter.Tensor floats(String name, Estimate values) {
    return tensor(
        name,
        Dtype.F32,
        Shape.of(values.rows(), values.columns()),
        into -> {
          for (float value : values.toFloats()) {
            into.putFloat(value);
          }
        });
  }

  private static SafetensorsWriter.Tensor bounds(String name, Estimate values) {
    long elements = (long) values.rows() * values.columns();
    return tensor(
        name,
        Dtype.F32,
        Shape.of(values.rows(), values.columns()),
        into -> {
          for (int r = 0; r < values.rows(); r++) {
            for (int c = 0; c < values.columns(); c++) {
              into.putFloat((float) Tolerance.bound(values.error(r, c), elements));
            }
          }
        });
  }

  private static SafetensorsWriter.Tensor tensor(
      String name, Dtype dtype, Shape shape, Values values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(shape.bytes(dtype))).order(ByteOrder.LITTLE_ENDIAN);
    values.put(bytes);
    return new SafetensorsWriter.Tensor(name, dtype, shape, bytes.flip());
  }

  private static void put(ByteBuffer into, long[] values) {
    for (long value : values) {
      into.putLong(value);
    }
  }

  private static void put(ByteBuffer into, int[] values) {
    for (int value : values) {
      into.putInt(value);
    }
  }

  public static void main(String[] arguments) throws IOException {
    write(Path.of(arguments[0]), Files.createTempDirectory("moxie-numbers"));
  }
}

package dev.moxie.cli;

import static dev.moxie.cli.Workbench.config;
import static dev.moxie.cli.Workbench.ends;
import static dev.moxie.cli.Workbench.member;
import static dev.moxie.cli.Workbench.never;
import static dev.moxie.cli.Workbench.renamed;
import static dev.moxie.cli.Workbench.require;
import static dev.moxie.cli.Workbench.tensor;
import static dev.moxie.cli.Workbench.with;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import tools.jackson.databind.node.ObjectNode;

/** Checkpoints as people have them. */
final class CheckpointCases {
  private static final String INDEX = "model.safetensors.index.json";
  private static final String AGAIN = "fetch it again";
  private static final Path TRACE = Fixtures.traces(Fixtures.tinyMixtral()).getFirst();

  private final List<Case> cases = new ArrayList<>();

  private CheckpointCases() {}

  static List<Case> all() {
    var all = new CheckpointCases();
    all.overlays();
    all.spellings();
    all.otherFormats();
    all.extraTensors();
    all.predictionLayers();
    all.names();
    all.comparisons();
    return all.cases;
  }

  private void add(String kind, String input, String expected, Case.Check check) {
    cases.add(new Case(kind, input, expected, check));
  }

  private void overlays() {
    String expected = "the index decides; its numbers; superseded copies noted";
    overlay("every o_proj in a second file", expected, n -> n.contains("o_proj"));
    overlay("the head in a second file", expected, n -> n.equals("lm_head.weight"));
    overlay(
        "one expert in a second file",
        expected,
        n -> n.contains("layers.1") && n.contains("experts.3."));
    add(
        "overlay",
        "a whole file beside an index whose shards are missing",
        "0, and said",
        bench -> {
          Path checkpoint = bench.rewritten(bench.mixtral(), UnaryOperator.identity());
          Files.copy(Fixtures.tinyMixtral().resolve(INDEX), checkpoint.resolve(INDEX));
          ends(bench.moxie("convert", checkpoint, bench.at("p")), 0, INDEX);
          ends(bench.moxie("diff", bench.at("p"), Fixtures.tinyMixtral()), 0);
        });
    add(
        "overlay",
        "a whole file beside complete shards that the index reads",
        "the index decides; the whole file named as left behind",
        bench -> {
          Path checkpoint = bench.mixtral();
          Path whole = bench.rewritten(bench.mixtral(), UnaryOperator.identity());
          Files.move(whole.resolve("model.safetensors"), checkpoint.resolve("model.safetensors"));
          ends(
              bench.moxie("convert", checkpoint, bench.at("p")),
              0,
              "model.safetensors (superseded");
          ends(bench.moxie("verify", bench.at("p"), "--source", checkpoint), 0);
          CommandLineTest.Outcome export = bench.moxie("export", bench.at("p"), bench.at("again"));
          ends(export, 0, "without model.safetensors, ");
          never(export, "every file is byte for byte");
        });
  }

  private void overlay(String input, String expected, Predicate<String> which) {
    add(
        "overlay",
        input,
        expected,
        bench -> {
          Path checkpoint = bench.rewritten(bench.mixtral(), UnaryOperator.identity());
          List<SafetensorsWriter.Tensor> zeros = new ArrayList<>();
          List<SafetensorsWriter.Tensor> merged = new ArrayList<>();
          ObjectNode index = StrictJson.mapper(false).createObjectNode();
          ObjectNode map = index.putObject("weight_map");
          for (SafetensorsWriter.Tensor t : Workbench.tensors(checkpoint)) {
            boolean over = which.test(t.name());
            var zero =
                new SafetensorsWriter.Tensor(
                    t.name(), t.dtype(), t.shape(), ByteBuffer.allocate(t.data().remaining()));
            if (over) {
              zeros.add(zero);
            }
            merged.add(over ? zero : t);
            map.put(t.name(), over ? "model-overlay.safetensors" : "model.safetensors");
          }
          SafetensorsWriter.write(checkpoint.resolve("model-overlay.safetensors"), Map.of(), zeros);
          Files.writeString(checkpoint.resolve(INDEX), index.toString());
          Path right = bench.rewritten(bench.mixtral(), all -> merged);
          ends(bench.moxie("convert", checkpoint, bench.at("p")), 0, "superseded");
          ends(bench.moxie("diff", bench.at("p"), right), 0);
        });
  }

  private void spellings() {
    String quantisation =
        """
        {"activation_scheme": "dynamic", "dequantize": false, "modules_to_convert": null,
         "modules_to_not_convert": null, "quant_method": "fp8", "scale_fmt": "float",
         "weight_block_size": [128, 128]}
        """;
    for (String said :
        List.of(
            quantisation,
            quantisation.replace("\"float\"", "null"),
            quantisation.replace("\"modules_to_convert\": null,", ""))) {
      add(
          "fp8 spelling",
          said.replaceAll("\\s+", " "),
          "converts",
          bench ->
              ends(
                  bench.moxie(
                      "convert",
                      member(bench.deepSeek(), "config.json", "quantization_config", said),
                      bench.at("p"),
                      "--mtp",
                      "keep"),
                  0));
    }
    add(
        "fp8 spelling",
        "dequantize true",
        "3, names it",
        bench ->
            ends(
                bench.moxie(
                    "convert",
                    member(
                        bench.deepSeek(),
                        "config.json",
                        "quantization_config",
                        quantisation.replace("ze\": false", "ze\": true")),
                    bench.at("p"),
                    "--mtp",
                    "keep"),
                3,
                "dequantize"));
    for (String key : List.of("attention_bias", "mlp_bias", "use_bias")) {
      neutral("false biases", key, "false", false);
    }
    neutral("false biases", "mlp_bias", "false", true);
    neutral("neutral spellings", "rope_scaling", "null", false);
    neutral("neutral spellings", "quantization_config", "null", false);
    add(
        "false biases",
        "attention_bias: true",
        "3, names it",
        bench ->
            ends(
                bench.moxie(
                    "convert",
                    member(bench.mixtral(), "config.json", "attention_bias", "true"),
                    bench.at("p")),
                3,
                "attention_bias"));
  }

  private void neutral(String kind, String key, String value, boolean deepSeek) {
    add(
        kind,
        (deepSeek ? "DeepSeek, " : "Mixtral, ") + key + ": " + value,
        "converts",
        bench -> {
          Path checkpoint = deepSeek ? bench.deepSeek() : bench.mixtral();
          ends(
              bench.moxie(
                  "convert",
                  member(checkpoint, "config.json", key, value),
                  bench.at("p"),
                  "--mtp",
                  "keep"),
              0);
        });
  }

  private void otherFormats() {
    for (String name :
        List.of("pytorch_model-00001-of-00002.bin", "pytorch_model.bin", "model.pt")) {
      other("only .bin", name, "3, says so", name.replaceFirst(".*\\.", "."), true, name);
    }
    other(
        "adapter",
        "adapter_model.safetensors",
        "3, an adapter, merge it first",
        "merge",
        true,
        "adapter_config.json",
        "adapter_model.safetensors");
    other(
        "adapter",
        "adapter_model.bin",
        "3, an adapter, merge it first",
        "merge",
        false,
        "adapter_config.json",
        "adapter_model.bin");
    other(
        "original format",
        "consolidated.safetensors",
        "3, names the format",
        "params.json",
        false,
        "params.json",
        "consolidated.safetensors");
    other(
        "original format",
        "consolidated.00.pth",
        "3, names the format",
        "params.json",
        false,
        "params.json",
        "consolidated.00.pth");
    for (String verb : List.of("convert", "inspect")) {
      add(
          "adapter",
          verb + ": adapter_config.json and adapter_model.safetensors beside a whole model",
          "3, an adapter, merge it first",
          bench -> {
            Path checkpoint = bench.mixtral();
            Files.writeString(checkpoint.resolve("adapter_config.json"), "{}");
            SafetensorsWriter.write(
                checkpoint.resolve("adapter_model.safetensors"),
                Map.of(),
                List.of(tensor("base_model.model.lm_head.lora_A.weight", Dtype.F32, 0, 2, 2)));
            ends(
                verb.equals("inspect")
                    ? bench.moxie(verb, checkpoint)
                    : bench.moxie(verb, checkpoint, bench.at("p")),
                3,
                "merge it into its base model");
          });
    }
    add(
        "fused experts",
        "mlp.experts.gate_up_proj, as transformers 5 writes them",
        "converts; the export is identical",
        bench ->
            bench.survives(bench.rewritten(bench.mixtral(), tensors -> fused(tensors, "mlp"))));
    add(
        "fused experts",
        "block_sparse_moe.experts.gate_up_proj, as nobody writes them",
        "3, names the layout",
        bench -> {
          Path checkpoint =
              bench.rewritten(bench.mixtral(), tensors -> fused(tensors, "block_sparse_moe"));
          CommandLineTest.Outcome outcome = bench.moxie("convert", checkpoint, bench.at("p"));
          ends(outcome, 3, "fused into one tensor");
          never(outcome, AGAIN);
        });
  }

  private void other(
      String kind, String input, String expected, String says, boolean config, String... files) {
    add(
        kind,
        input,
        expected,
        bench -> {
          Path checkpoint = Files.createDirectory(bench.at("c"));
          if (config) {
            Files.copy(
                Fixtures.tinyMixtral().resolve("config.json"), checkpoint.resolve("config.json"));
          }
          for (String file : files) {
            if (file.endsWith(".json")) {
              Files.writeString(checkpoint.resolve(file), "{\"dim\": 8}\n");
            } else if (file.endsWith(".safetensors")) {
              SafetensorsWriter.write(
                  checkpoint.resolve(file), Map.of(), List.of(tensor("a", Dtype.BF16, 0, 2, 2)));
            } else {
              Files.write(checkpoint.resolve(file), new byte[] {'P', 'K', 3, 4});
            }
          }
          CommandLineTest.Outcome outcome = bench.moxie("convert", checkpoint, bench.at("p"));
          ends(outcome, 3, says);
          never(outcome, AGAIN);
          require(Files.notExists(bench.at("p")), "made a package");
        });
  }

  /** Experts as newer releases of transformers save them. */
  private static List<SafetensorsWriter.Tensor> fused(
      List<SafetensorsWriter.Tensor> tensors, String block) {
    List<SafetensorsWriter.Tensor> out = new ArrayList<>();
    for (SafetensorsWriter.Tensor t : tensors) {
      String name = t.name().replace("block_sparse_moe", block);
      if (!name.contains(".experts.")) {
        out.add(new SafetensorsWriter.Tensor(name, t.dtype(), t.shape(), t.data()));
      } else if (name.endsWith("experts.0.w1.weight")) {
        String stem = name.replace("0.w1.weight", "");
        long i = t.shape().dim(0);
        long h = t.shape().dim(1);
        out.add(tensor(stem + "gate_up_proj", t.dtype(), 1, 8, 2 * i, h));
        out.add(tensor(stem + "down_proj", t.dtype(), 1, 8, h, i));
      }
    }
    return out;
  }

  private void extraTensors() {
    add(
        "tied head stored",
        "a bit-identical lm_head.weight",
        "kept; the export is identical",
        bench -> bench.survives(bench.rewritten(bench.tied(), all -> headed(all, 0))));
    add(
        "tied head stored",
        "another lm_head.weight",
        "3, names it",
        bench ->
            ends(
                bench.moxie(
                    "convert", bench.rewritten(bench.tied(), all -> headed(all, 1)), bench.at("p")),
                3,
                "lm_head"));
    String buffer = "converts; the export is identical";
    add(
        "model buffer",
        "Mixtral, model.rotary_emb.inv_freq",
        buffer,
        bench ->
            bench.survives(
                bench.rewritten(
                    bench.mixtral(), with(tensor("model.rotary_emb.inv_freq", Dtype.F32, 1, 16)))));
    add(
        "model buffer",
        "one of another width",
        buffer,
        bench ->
            bench.survives(
                bench.rewritten(
                    bench.mixtral(), with(tensor("model.rotary_emb.inv_freq", Dtype.F32, 1, 7)))));
    add(
        "model buffer",
        "one of a layer",
        buffer,
        bench ->
            bench.survives(
                bench.rewritten(
                    bench.mixtral(),
                    with(
                        tensor(
                            "model.layers.2.self_attn.rotary_emb.inv_freq", Dtype.F32, 1, 16)))));
    add(
        "model buffer",
        "one in bfloat16",
        buffer,
        bench ->
            bench.survives(
                bench.rewritten(
                    bench.tied(),
                    with(
                        tensor(
                            "model.layers.0.self_attn.rotary_emb.inv_freq", Dtype.BF16, 1, 8)))));
    add(
        "model buffer",
        "DeepSeek, model.rotary_emb.inv_freq",
        buffer,
        bench ->
            bench.survives(
                bench.rewritten(
                    bench.deepSeek(), with(tensor("model.rotary_emb.inv_freq", Dtype.F32, 1, 8))),
                "--mtp",
                "keep"));
    add(
        "left behind",
        "a large consolidated.safetensors, a folder, a dangling README.md",
        "convert and export say what was not taken",
        bench -> {
          Path checkpoint = bench.mixtral();
          try (var large =
              new RandomAccessFile(checkpoint.resolve("consolidated.safetensors").toFile(), "rw")) {
            large.setLength(100_000_000);
          }
          Files.createDirectory(checkpoint.resolve("inference"));
          Files.writeString(checkpoint.resolve("inference/model.py"), "pass\n");
          Files.createSymbolicLink(checkpoint.resolve("README.md"), Path.of("nowhere.md"));
          ends(
              bench.moxie("convert", checkpoint, bench.at("p")),
              0,
              "consolidated.safetensors",
              "README.md");
          CommandLineTest.Outcome export = bench.moxie("export", bench.at("p"), bench.at("again"));
          ends(export, 0, "consolidated.safetensors", "README.md");
          never(export, "every file is byte for byte");
        });
    add(
        "left behind",
        "a README.md that is a link to a file of the system",
        "left out and named",
        bench -> {
          Path checkpoint = bench.mixtral();
          Path secret = bench.precious("elsewhere/secret");
          Files.createSymbolicLink(checkpoint.resolve("README.md"), secret);
          ends(bench.moxie("convert", checkpoint, bench.at("p")), 0, "README.md");
          require(
              Files.notExists(bench.at("p").resolve("source/README.md")), "the package holds it");
        });
    add(
        "left behind",
        "weights that are links to another disk",
        "converts, nothing left out",
        bench -> {
          Path checkpoint = bench.tied();
          Path weights = checkpoint.resolve("model.safetensors");
          Files.createSymbolicLink(
              weights, Files.move(weights, bench.at("weights-elsewhere.safetensors")));
          Path pack = bench.packed(checkpoint);
          ends(bench.moxie("verify", pack, "--source", checkpoint), 0);
        });
  }

  private static List<SafetensorsWriter.Tensor> headed(
      List<SafetensorsWriter.Tensor> tensors, int change) {
    SafetensorsWriter.Tensor embedding =
        tensors.stream()
            .filter(t -> t.name().equals("model.embed_tokens.weight"))
            .findFirst()
            .orElseThrow();
    byte[] data = new byte[embedding.data().remaining()];
    embedding.data().duplicate().get(data);
    data[0] ^= (byte) change;
    return with(new SafetensorsWriter.Tensor(
            "lm_head.weight", embedding.dtype(), embedding.shape(), ByteBuffer.wrap(data)))
        .apply(tensors);
  }

  private void predictionLayers() {
    for (String count : List.of("0", "null")) {
      add(
          "MTP undeclared",
          "num_nextn_predict_layers " + count + ", the layer still there",
          "--mtp drop drops, --mtp keep keeps",
          bench -> {
            Path checkpoint =
                member(bench.deepSeek(), "config.json", "num_nextn_predict_layers", count);
            ends(bench.moxie("convert", checkpoint, bench.at("q"), "--mtp", "drop"), 0);
            bench.survives(checkpoint, "--mtp", "keep");
          });
    }
    add(
        "MTP undeclared",
        "no num_nextn_predict_layers, the layer still there",
        "--mtp drop drops",
        bench -> {
          Path checkpoint =
              config(bench.deepSeek(), tree -> tree.remove("num_nextn_predict_layers"));
          ends(bench.moxie("convert", checkpoint, bench.at("q"), "--mtp", "drop"), 0);
          ends(bench.moxie("inspect", checkpoint), 0);
        });
    for (String less :
        List.of("embed_tokens|shared_head.head", "embed_tokens", "shared_head.head")) {
      add(
          "MTP without shared copies",
          "without " + less,
          "inspect accepts; keep does or says --mtp drop",
          bench -> {
            Path checkpoint =
                bench.rewritten(
                    bench.deepSeek(),
                    all ->
                        all.stream()
                            .filter(
                                t ->
                                    !t.name()
                                        .matches(
                                            "model.layers.4.("
                                                + less.replace(".", "\\.")
                                                + ")\\.weight"))
                            .toList());
            ends(bench.moxie("convert", checkpoint, bench.at("q"), "--mtp", "drop"), 0);
            ends(bench.moxie("inspect", checkpoint), 0);
            CommandLineTest.Outcome keep =
                bench.moxie("convert", checkpoint, bench.at("p"), "--mtp", "keep");
            if (keep.status() != 0) {
              ends(keep, 3, "--mtp drop");
            }
          });
    }
  }

  private void names() {
    foreign(
        "base_model.model. before every name",
        "base_model.model.",
        renamed(n -> "base_model.model." + n));
    foreign(
        "model.language_model. for model.",
        "model.language_model.",
        renamed(n -> n.replaceFirst("^model\\.", "model.language_model.")));
    foreign("module. before every name", "module.", renamed(n -> "module." + n));
    foreign("block_sparse_moe.switch_mlp stacks", "switch_mlp", all -> stacked(all));
    foreign(
        "layers of another program",
        "transformer.h.",
        renamed(n -> n.replace("model.layers.", "transformer.h.")));
  }

  private void foreign(
      String input, String there, UnaryOperator<List<SafetensorsWriter.Tensor>> edit) {
    add(
        "foreign names",
        input,
        "3 with names that are there, or converts",
        bench -> {
          Path checkpoint = bench.rewritten(bench.mixtral(), edit);
          CommandLineTest.Outcome outcome = bench.moxie("convert", checkpoint, bench.at("p"));
          if (outcome.status() != 0) {
            ends(outcome, 3, there);
            never(outcome, AGAIN);
          }
        });
  }

  private static List<SafetensorsWriter.Tensor> stacked(List<SafetensorsWriter.Tensor> tensors) {
    List<SafetensorsWriter.Tensor> out = new ArrayList<>();
    for (SafetensorsWriter.Tensor t : tensors) {
      if (!t.name().contains(".experts.")) {
        out.add(t);
      } else if (t.name().contains(".experts.0.")) {
        String projection =
            t.name().contains("w1")
                ? "gate_proj"
                : t.name().contains("w2") ? "down_proj" : "up_proj";
        Shape shape = t.shape();
        out.add(
            tensor(
                t.name()
                    .replaceFirst(
                        "experts\\.0\\.w..weight", "switch_mlp." + projection + ".weight"),
                t.dtype(),
                1,
                8,
                shape.dim(0),
                shape.dim(1)));
      }
    }
    return out;
  }

  private void comparisons() {
    add(
        "respelled",
        "rope_theta and torch_dtype for rope_parameters and dtype",
        "0, the spelling listed",
        bench ->
            ends(
                bench.moxie(
                    "diff",
                    Fixtures.tinyMixtral(),
                    config(
                        bench.mixtral(),
                        tree -> {
                          tree.remove("rope_parameters");
                          tree.remove("dtype");
                          tree.put("rope_theta", 10000.0).put("torch_dtype", "bfloat16");
                        })),
                0,
                "rope_theta"));
    add(
        "respelled",
        "torch_dtype for dtype",
        "0, the spelling listed",
        bench ->
            ends(
                bench.moxie(
                    "diff",
                    Fixtures.tinyMixtral(),
                    config(
                        bench.mixtral(),
                        tree -> {
                          tree.remove("dtype");
                          tree.put("torch_dtype", "bfloat16");
                        })),
                0,
                "torch_dtype"));
    add(
        "respelled",
        "another rope_theta",
        "1",
        bench ->
            ends(
                bench.moxie(
                    "diff",
                    Fixtures.tinyMixtral(),
                    config(
                        bench.mixtral(),
                        tree -> {
                          tree.remove("rope_parameters");
                          tree.put("rope_theta", 20000.0);
                        })),
                1));
    add(
        "respelled",
        "the package of a respelled checkpoint",
        "0",
        bench ->
            ends(
                bench.moxie(
                    "diff",
                    Fixtures.tinyMixtral(),
                    bench.packed(
                        config(
                            bench.mixtral(),
                            tree -> {
                              tree.remove("rope_parameters");
                              tree.put("rope_theta", 10000.0);
                            }))),
                0));
    reference(
        "one expert per token fewer",
        checkpointOf(tree -> tree.put("num_experts_per_tok", 1), UnaryOperator.identity()));
    reference(
        "one expert per token more",
        checkpointOf(tree -> tree.put("num_experts_per_tok", 3), UnaryOperator.identity()));
    reference(
        "one layer fewer",
        checkpointOf(
            tree -> tree.put("num_hidden_layers", 3),
            all -> all.stream().filter(t -> !t.name().contains("layers.3.")).toList()));
    reference("another width", bench -> bench.copy(Fixtures.root().resolve("random/mixtral")));
  }

  /** Makes a checkpoint that is not quite the trace's. */
  @FunctionalInterface
  private interface Maker {
    Path in(Workbench bench) throws IOException;
  }

  private static Maker checkpointOf(
      Consumer<ObjectNode> edit, UnaryOperator<List<SafetensorsWriter.Tensor>> tensors) {
    return bench -> bench.rewritten(config(bench.mixtral(), edit), tensors);
  }

  private void reference(String input, Maker maker) {
    add(
        "other k",
        input,
        "a report, 1",
        bench -> {
          Path pack = bench.packed(maker.in(bench));
          ends(bench.moxie("verify", pack, "--reference", TRACE), 1, "verdict");
          CommandLineTest.Outcome json =
              bench.moxie("verify", pack, "--reference", TRACE, "--json");
          ends(json, 1, "\"verdict\"");
        });
  }
}

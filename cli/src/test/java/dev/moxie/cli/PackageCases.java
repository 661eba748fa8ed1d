package dev.moxie.cli;

import static dev.moxie.cli.Workbench.ends;
import static dev.moxie.cli.Workbench.never;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.ArrowType;
import dev.moxie.format.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** Packages whose digests are right and whose statements are not. */
final class PackageCases {
  private static final String MANIFEST = "moxie.json";

  private final List<Case> cases = new ArrayList<>();

  private PackageCases() {}

  static List<Case> all() {
    var all = new PackageCases();
    all.manifests();
    all.indexes();
    all.digests();
    return all.cases;
  }

  /** A package of the tied Mixtral, edited and sealed again, must be refused. */
  private void manifest(String input, UnaryOperator<String> edit) {
    cases.add(
        new Case(
            "manifest",
            input,
            "3",
            bench -> {
              Path pack = bench.packed(bench.tied());
              String before = Files.readString(pack.resolve(MANIFEST));
              Sealing.manifest(pack, edit);
              Workbench.require(
                  !Files.readString(pack.resolve(MANIFEST)).equals(before), "the edit did nothing");
              ends(bench.moxie("verify", pack), 3);
            }));
  }

  private void manifests() {
    manifest("blanks around an enum (score)", m -> m.replace("\"softmax\"", "\" softmax \""));
    manifest("blanks around an enum (rotary)", m -> m.replace("\"halves\"", "\"halves \""));
    manifest(
        "blanks around an enum (prediction)",
        m -> m.replaceFirst("(\"prediction\" : \")none\"", "$1 none\""));
    manifest("an enum in capitals", m -> m.replace("\"softmax\"", "\"SOFTMAX\""));
    manifest("an empty enum", m -> m.replace("\"softmax\"", "\"\""));
    manifest("minor -1", m -> m.replace("\"minor\" : 0", "\"minor\" : -1"));
    manifest("minor 0.0", m -> m.replace("\"minor\" : 0", "\"minor\" : 0.0"));
    manifest("major 1.0", m -> m.replace("\"major\" : 1", "\"major\" : 1.0"));
    manifest(
        "a number for a string (family)",
        m -> m.replaceFirst("\"family\" : \"[^\"]*\"", "\"family\" : 7"));
    manifest(
        "a number for a string (producer)",
        m -> m.replaceFirst("(\"producer\" : \\{\\s+\"name\" : )\"[^\"]*\"", "$11.5"));
    manifest(
        "a truth for a string",
        m -> m.replaceFirst("(\"producer\" : \\{\\s+\"name\" : )\"[^\"]*\"", "$1true"));
    manifest(
        "a string for a number",
        m -> m.replaceFirst("\"vocabSize\" : (\\d+)", "\"vocabSize\" : \"$1\""));
    manifest(
        "a number for a truth",
        m -> m.replaceFirst("\"tiedEmbeddings\" : \\w+", "\"tiedEmbeddings\" : 1"));
    manifest(
        "provenance bytes -1",
        m -> m.replaceFirst("(\"provenance\"[\\s\\S]*?\"bytes\" : )\\d+", "$1-1"));
    manifest("unsorted files", m -> swapped(m, "files"));
    manifest("unsorted shards", m -> swapped(m, "shards"));
    manifest("doubled file", m -> doubled(m, "files"));
    manifest("doubled shard", m -> doubled(m, "shards"));
    manifest(
        "doubled provenance shard",
        m ->
            m.replaceFirst(
                "(\"provenance\"[\\s\\S]*?\"shards\" : \\[\\s*)(\\{[^}]*\\})", "$1$2, $2"));
    manifest(
        "doubled encoding",
        m -> m.replaceFirst("(\"encodings\" : \\[\\s*)(\"plain\")", "$1$2, $2"));
    manifest(
        "a shard in files",
        m ->
            m.replaceFirst(
                "(\"files\" : \\[\\s*)",
                "$1{\"path\" : \"experts-L000.safetensors\", \"bytes\" : 1, \"sha256\" : \""
                    + "0".repeat(64)
                    + "\"},\n"));
    manifest(
        "the manifest in files",
        m ->
            m.replaceFirst(
                "(\"files\" : \\[\\s*)",
                "$1{\"path\" : \"moxie.json\", \"bytes\" : 1, \"sha256\" : \""
                    + "0".repeat(64)
                    + "\"},\n"));
    for (String path : List.of("../../outside", "/etc/passwd", "", "a//b", ".", "..\\\\b")) {
      manifest(
          "ignoredFiles [\"" + path + "\"]",
          m -> m.replace("\"ignoredFiles\" : [ ]", "\"ignoredFiles\" : [ \"" + path + "\" ]"));
    }
    manifest(
        "ignoredFiles unsorted",
        m -> m.replace("\"ignoredFiles\" : [ ]", "\"ignoredFiles\" : [ \"b\", \"a\" ]"));
    manifest(
        "ignoredFiles doubled",
        m -> m.replace("\"ignoredFiles\" : [ ]", "\"ignoredFiles\" : [ \"a\", \"a\" ]"));
    manifest("a byte-order mark", m -> "\ufeff" + m);
    for (String key :
        List.of(
            "rope_theta", "rope_parameters", "hidden_size", "num_experts_per_tok", "no_such_key")) {
      manifest(
          "ignoredConfigKeys [\"" + key + "\"]",
          m ->
              m.replace(
                  "\"ignoredConfigKeys\" : [ ]", "\"ignoredConfigKeys\" : [ \"" + key + "\" ]"));
    }
    manifest(
        "rank 0 in a package of one rank",
        m -> m.replaceFirst("(experts-L000[\\s\\S]*?\"rank\" : )null", "$10"));
  }

  private static String swapped(String manifest, String list) {
    return manifest.replaceFirst(
        "(\n  \"" + list + "\" : \\[\\s*)(\\{[^}]*\\}),(\\s*)(\\{[^}]*\\})", "$1$4,$3$2");
  }

  private static String doubled(String manifest, String list) {
    return manifest.replaceFirst("(\n  \"" + list + "\" : \\[\\s*)(\\{[^}]*\\})", "$1$2, $2");
  }

  /** Makes an edit in a package that has what it needs. */
  @FunctionalInterface
  private interface Edit {
    void in(Path pack) throws IOException;
  }

  private void index(String input, Edit edit) {
    cases.add(
        new Case(
            "index",
            input,
            "3",
            bench -> {
              Path pack = bench.packed(bench.tied());
              edit.in(pack);
              ends(bench.moxie("verify", pack), 3);
            }));
  }

  private void cell(String input, String kind, Consumer<Map<String, @Nullable Object>> edit) {
    index(input, pack -> IndexEdit.first(pack, row -> kind.equals(row.get("kind")), edit));
  }

  private void role(String input, String role, Consumer<Map<String, @Nullable Object>> edit) {
    index(input, pack -> IndexEdit.first(pack, row -> role.equals(row.get("role")), edit));
  }

  private void indexes() {
    cases.add(
        new Case(
            "index",
            "written again, unchanged",
            "passes",
            bench -> {
              Path pack = bench.packed(bench.tied());
              IndexEdit.cells(pack, rows -> {});
              ends(bench.moxie("verify", pack), 0);
            }));
    // The enumeration counts from 0.
    index("metadata version 4", pack -> IndexEdit.footer(pack, 0, (short) 3));
    index("metadata version 6", pack -> IndexEdit.footer(pack, 0, (short) 5));
    index("wrong null_count", pack -> IndexEdit.nulls(pack, 3, 1));
    index("null_count 0 where some are", pack -> IndexEdit.nulls(pack, 3, 0));
    index("nulls in a column that has none", pack -> IndexEdit.nulls(pack, 0, 1));
    index("a null_count below nothing", pack -> IndexEdit.nulls(pack, 3, -1));
    index("a null_count above the rows", pack -> IndexEdit.nulls(pack, 3, 1L << 40));
    cell("a stack with digests", "stack", row -> row.put("sha256", "00".repeat(32)));
    cell("a stack with a crc32c", "stack", row -> row.put("crc32c", 1L));
    cell("a stack with a source", "stack", row -> row.put("source_tensor", "a"));
    role("a filler with layer 99", "padding", row -> row.put("layer", 99));
    role("a filler with a source", "padding", row -> row.put("source_file", "model.safetensors"));
    index(
        "a column more at minor 0",
        pack ->
            IndexEdit.cells(
                pack, rows -> {}, List.of(IndexEdit.column("layer2", ArrowType.INT32, true))));
    cell(
        "dequantise_fp8_block_128x128 of a plain tensor",
        "tensor",
        row -> row.put("transform", "dequantise_fp8_block_128x128"));
    cell(
        "dequantise_fp8_block_128x128 of a slice",
        "slice",
        row -> row.put("transform", "dequantise_fp8_block_128x128"));
    cell("a cast that no manifest declares", "tensor", row -> row.put("transform", "cast"));
    cell("empty source_tensor", "tensor", row -> row.put("source_tensor", ""));
    cell("empty source_file", "tensor", row -> row.put("source_file", ""));
    cell(
        "source_file that leaves", "tensor", row -> row.put("source_file", "../model.safetensors"));
    cell(
        "source_file that provenance does not list",
        "tensor",
        row -> row.put("source_file", "other.safetensors"));
    cell("blanks around a kind", "slice", row -> row.put("kind", "slice "));
    cell(
        "blanks around a projection",
        "slice",
        row -> row.put("projection", " " + row.get("projection")));
    cell("an expert on a tensor", "tensor", row -> row.put("expert", 0));
    cell("a negative layer", "tensor", row -> row.put("layer", -1));
    cell("a negative offset", "tensor", row -> row.put("offset", -8L));
    cell("a tensor without a digest", "tensor", row -> row.put("sha256", null));
    cell("an unknown encoding", "tensor", row -> row.put("encoding", "plain "));
    index(
        "two rows in each other's place",
        pack -> IndexEdit.cells(pack, rows -> Collections.swap(rows, 0, rows.size() - 1)));
    index("a row twice", pack -> IndexEdit.cells(pack, rows -> rows.add(1, rows.getFirst())));
    index("no rows", pack -> IndexEdit.cells(pack, List::clear));
    index(
        "a footer with bytes before it",
        pack -> {
          byte[] bytes = Files.readAllBytes(pack.resolve("tensors.arrow"));
          byte[] longer = new byte[bytes.length + 8];
          System.arraycopy(bytes, 0, longer, 0, bytes.length);
          System.arraycopy(
              "ARROW1".getBytes(StandardCharsets.US_ASCII), 0, longer, longer.length - 6, 6);
          Files.write(pack.resolve("tensors.arrow"), Sealing.index(pack, longer));
        });
  }

  /** What is told, where statements do not agree with each other. */
  private void digests() {
    cases.add(
        new Case(
            "messages",
            "wrong crc32c with the right sha256",
            "says CRC-32C",
            bench -> {
              Path pack = bench.packed(bench.tied());
              IndexEdit.first(
                  pack, row -> "tensor".equals(row.get("kind")), row -> row.put("crc32c", 1L));
              CommandLineTest.Outcome outcome = bench.moxie("verify", pack);
              ends(outcome, outcome.status(), "CRC-32C");
              Workbench.require(
                  outcome.status() == 1 || outcome.status() == 3, "status " + outcome.status());
            }));
    cases.add(
        new Case(
            "messages",
            "null crc32c",
            "3, says so",
            bench -> {
              Path pack = bench.packed(bench.tied());
              IndexEdit.first(
                  pack, row -> "tensor".equals(row.get("kind")), row -> row.put("crc32c", null));
              CommandLineTest.Outcome outcome = bench.moxie("verify", pack);
              ends(outcome, 3, "CRC-32C");
              never(outcome, "null ");
            }));
    cases.add(
        new Case(
            "messages",
            "null layer of a router",
            "3, says so",
            bench -> {
              Path pack = bench.packed(bench.tied());
              IndexEdit.first(
                  pack, row -> "router".equals(row.get("role")), row -> row.put("layer", null));
              CommandLineTest.Outcome outcome = bench.moxie("verify", pack);
              ends(outcome, 3, "layer");
              never(outcome, "null");
            }));
    Path vectors = Fixtures.root().resolveSibling("format-spec/conformance/packages/valid");
    for (String name :
        List.of(
            "minimal",
            "latent-attention-and-fp8-blocks",
            "experts-over-ranks-and-files",
            "filler-before-a-stack")) {
      cases.add(
          new Case(
              "valid vectors",
              name,
              "runs, or says numbers are not finite",
              bench -> {
                CommandLineTest.Outcome outcome =
                    bench.moxie(
                        "run",
                        vectors.resolve(name),
                        "--prompt-ids",
                        "1,2",
                        "--max-tokens",
                        "2",
                        "--device",
                        "cpu");
                if (outcome.status() != 0) {
                  ends(outcome, 3, "finite");
                }
              }));
    }
    cases.add(
        new Case(
            "valid vectors",
            "a checkpoint with infinite weights",
            "3, says numbers are not finite",
            bench -> {
              Path checkpoint =
                  bench.rewritten(
                      bench.tied(),
                      all ->
                          all.stream()
                              .map(t -> t.name().equals("model.norm.weight") ? infinite(t) : t)
                              .toList());
              ends(
                  bench.moxie(
                      "run",
                      bench.packed(checkpoint),
                      "--prompt-ids",
                      "1,2",
                      "--max-tokens",
                      "2",
                      "--device",
                      "cpu"),
                  3,
                  "finite");
            }));
  }

  private static SafetensorsWriter.Tensor infinite(SafetensorsWriter.Tensor t) {
    byte[] data = new byte[t.data().remaining()];
    for (int i = 0; i + 1 < data.length; i += 2) {
      data[i + 1] = 0x7c;
    }
    return new SafetensorsWriter.Tensor(t.name(), t.dtype(), t.shape(), ByteBuffer.wrap(data));
  }
}

package dev.moxie.format.pack;

import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Makes the packages under {@code conformance/packages}. Run {@code main} with that folder after a
 * change of the format; the test compares what is committed with what this makes.
 */
final class ConformanceVectors {
  /** What a reader must answer, and when. */
  record Case(String error, String at, String rule) {}

  private interface Damage {
    void inflict(Path folder) throws IOException;
  }

  private static final String EXPERTS = "experts-L000.safetensors";

  private final Map<String, Case> cases = new LinkedHashMap<>();
  private final Path root;

  private ConformanceVectors(Path root) {
    this.root = root;
  }

  /** Writes all vectors; returns the invalid ones. */
  static Map<String, Case> write(Path root) throws IOException {
    var vectors = new ConformanceVectors(root);
    TinyPackage.write(root.resolve("valid/minimal"));
    TinyPackage.write(
        root.resolve("valid/filler-before-a-stack"), TinyPackage.architecture(3, 5, 7), false);
    TinyPackage.writeLatent(root.resolve("valid/latent-attention-and-fp8-blocks"));
    TinyPackage.write(
        root.resolve("valid/experts-over-ranks-and-files"),
        TinyPackage.architecture(5, 4, 2),
        new Manifest.Layout(2, 100L),
        false);
    vectors.manifests();
    vectors.indexes();
    vectors.latent();
    vectors.ranks();
    vectors.origins();
    vectors.shards();
    return vectors.cases;
  }

  private void manifests() throws IOException {
    invalid(
        "no-manifest",
        "unfinished",
        "open",
        "the manifest is the completion marker",
        p -> Files.delete(p.resolve("moxie.json")));
    invalid(
        "manifest-cut",
        "corrupt",
        "open",
        "the manifest ends with its own digest",
        p -> {
          byte[] bytes = Files.readAllBytes(p.resolve("moxie.json"));
          Files.write(p.resolve("moxie.json"), java.util.Arrays.copyOf(bytes, 500));
        });
    invalid(
        "manifest-edited",
        "corrupt",
        "open",
        "the digest covers every byte before it",
        p -> {
          String text = Files.readString(p.resolve("moxie.json"));
          Files.writeString(
              p.resolve("moxie.json"), text.replace("\"scale\" : 1.0", "\"scale\" : 2.0"));
        });
    edited("later-major", "too_new", "a later major version", "\"major\" : 1", "\"major\" : 2");
    edited(
        "earlier-major", "too_old", "an earlier major version", "\"major\" : 1", "\"major\" : 0");
    edited(
        "unknown-member-of-the-architecture",
        "corrupt",
        "a member that may change the maths is never skipped, whatever the minor version",
        "\"expertsPerToken\"",
        "\"jitter\" : 4, \"expertsPerToken\"");
    edited(
        "unknown-score-function",
        "corrupt",
        "unknown values are errors",
        "\"softmax\"",
        "\"sparsemax\"");
    edited(
        "shard-outside",
        "corrupt",
        "paths stay inside the package",
        "\"" + EXPERTS,
        "\"../" + EXPERTS);
    edited(
        "encodings-not-those-of-the-index",
        "corrupt",
        "encodings are those of the index",
        "\"plain\"",
        "\"mxfp4\"");
    edited(
        "more-experts-than-there-are",
        "corrupt",
        "expertsPerToken is at most experts",
        "\"expertsPerToken\" : 2",
        "\"expertsPerToken\" : 4");
  }

  private void indexes() throws IOException {
    invalid(
        "index-altered",
        "corrupt",
        "open",
        "the manifest digests the index",
        p -> {
          byte[] bytes = Files.readAllBytes(p.resolve("tensors.arrow"));
          bytes[bytes.length / 2] ^= 1;
          Files.write(p.resolve("tensors.arrow"), bytes);
        });
    reindexed(
        "tensor-missing",
        "every tensor that the architecture calls for is there",
        rows -> without(rows, r -> r.name().equals("final_norm.weight")));
    reindexed(
        "expert-missing",
        "a stack has a slice for every expert and projection",
        rows -> without(rows, r -> r.expert() != null && r.expert() == 2));
    reindexed(
        "tensor-too-many",
        "no other tensor is there",
        rows -> {
          List<IndexRow> more = new ArrayList<>(rows);
          more.add(named(rows.getFirst(), "layers.1.router.weight"));
          return more;
        });
    reindexed(
        "tensor-twice",
        "no tensor is there twice",
        rows -> {
          List<IndexRow> more = new ArrayList<>(rows);
          more.add(rows.getFirst());
          return more;
        });
    reindexed(
        "experts-out-of-order",
        "slices lie in the order of expert ids",
        rows -> {
          List<IndexRow> swapped = new ArrayList<>(rows);
          int last = rows.size() - 1;
          swapped.set(last, rows.get(last - 1));
          swapped.set(last - 1, rows.get(last));
          return swapped;
        });
    reindexed(
        "expert-on-a-tensor",
        "expert and projection stand on slices and only there",
        rows -> changed(rows, 0, ConformanceVectors::withExpert));
    reindexed(
        "bytes-not-of-the-shape",
        "bytes follow from dtype and shape",
        rows -> changed(rows, 0, r -> reshaped(r, Shape.of(5, 3))));
    reindexed(
        "offset-overlapping",
        "leaves cover a shard without gap or overlap",
        rows -> changed(rows, 1, r -> moved(r, r.offset() - 2)));
    invalid(
        "encoding-unknown",
        "unsupported",
        "open",
        "an encoding that is not implemented",
        p -> Tampering.index(p, rows -> changed(rows, 0, r -> encoded(r, "int4_block"))));
  }

  /** Damage to a package with latent attention, groups and block scales. */
  private void latent() throws IOException {
    latent(
        "groups-that-do-not-divide",
        "groups are of equal size",
        p -> Tampering.manifest(p, text -> text.replace("\"count\" : 2,", "\"count\" : 3,")));
    latent(
        "groups-too-small",
        "the kept groups hold expertsPerToken experts",
        p ->
            Tampering.manifest(
                p, text -> text.replace("\"expertsPerToken\" : 2", "\"expertsPerToken\" : 3")));
    latent(
        "zero-mask-with-a-bias",
        "a mask of zero keeps nothing out where values may be negative",
        p -> Tampering.manifest(p, text -> text.replace("\"negative_infinity\"", "\"zero\"")));
    latent(
        "scales-missing",
        "every fp8_block tensor has its scales",
        p ->
            Tampering.index(
                p, rows -> without(rows, r -> r.name().equals("layers.0.dense.up.scale"))));
    latent(
        "scales-of-another-dtype",
        "scales are F32",
        p -> Tampering.index(p, rows -> changed(rows, SCALE, ConformanceVectors::asIntegers)));
    latent(
        "fp8-called-plain",
        "F8_E4M3 elements are fp8_block",
        p -> Tampering.index(p, rows -> changed(rows, FP8, r -> encoded(r, "plain"))));
    latent(
        "prediction-tensor-missing",
        "layers for multi-token prediction are whole",
        p -> Tampering.index(p, rows -> without(rows, r -> r.role() == Role.PREDICTION_COMBINE)));
  }

  /** Damage to a package whose experts are spread over two ranks. */
  private void ranks() throws IOException {
    ranked(
        "experts-of-another-rank",
        "a shard holds experts of its rank only",
        text -> text.replace("\"expertParallel\" : 2", "\"expertParallel\" : 3"));
    ranked(
        "rank-missing",
        "a shard of experts says for which rank it is",
        text -> text.replace("\"rank\" : 1", "\"rank\" : null"));
    ranked(
        "rank-of-the-backbone",
        "the backbone is for every rank",
        text -> text.replaceFirst("\"rank\" : null", "\"rank\" : 0"));
  }

  private void ranked(String name, String rule, UnaryOperator<String> edit) throws IOException {
    Path folder = root.resolve("invalid").resolve(name);
    TinyPackage.write(
        folder, TinyPackage.architecture(4, 4, 2), new Manifest.Layout(2, null), false);
    Tampering.manifest(folder, edit);
    cases.put(name, new Case("corrupt", "open", rule));
  }

  private void origins() throws IOException {
    reindexed(
        "source-missing",
        "every leaf but fillers says where it came from",
        rows -> changed(rows, 0, r -> from(r, null, r.sourceTensor(), r.transform())));
    reindexed(
        "source-file-unlisted",
        "sources are among the checkpoint's weight files",
        rows -> changed(rows, 0, r -> from(r, "other.safetensors", "x", r.transform())));
    reindexed(
        "source-twice",
        "a source tensor has one place",
        rows -> {
          IndexRow first = rows.getFirst();
          return changed(
              rows, 1, r -> from(r, first.sourceFile(), first.sourceTensor(), r.transform()));
        });
    reindexed(
        "cast-undeclared",
        "the manifest declares every change of dtype",
        rows -> changed(rows, 0, r -> from(r, r.sourceFile(), r.sourceTensor(), "cast")));
    invalid(
        "transform-unknown",
        "unsupported",
        "open",
        "a transform that is not known",
        p ->
            Tampering.index(
                p,
                rows -> changed(rows, 0, r -> from(r, r.sourceFile(), r.sourceTensor(), "zip"))));
    latent(
        "prediction-undeclared",
        "provenance and architecture agree about layers for multi-token prediction",
        p -> Tampering.manifest(p, text -> text.replace("\"kept\"", "\"dropped\"")));
  }

  private static IndexRow from(
      IndexRow r, @Nullable String file, @Nullable String tensor, @Nullable String transform) {
    return new IndexRow(
        r.kind(),
        r.name(),
        r.role(),
        r.layer(),
        r.expert(),
        r.projection(),
        r.dtype(),
        r.encoding(),
        r.shape(),
        r.shard(),
        r.offset(),
        r.bytes(),
        r.crc32c(),
        r.sha256(),
        file,
        tensor,
        transform);
  }

  private void latent(String name, String rule, Damage damage) throws IOException {
    Path folder = root.resolve("invalid").resolve(name);
    TinyPackage.writeLatent(folder);
    damage.inflict(folder);
    cases.put(name, new Case("corrupt", "open", rule));
  }

  private void shards() throws IOException {
    invalid(
        "shard-cut",
        "corrupt",
        "read",
        "a shard has the size that the manifest states",
        p -> {
          byte[] bytes = Files.readAllBytes(p.resolve(EXPERTS));
          Files.write(p.resolve(EXPERTS), java.util.Arrays.copyOf(bytes, bytes.length - 2));
        });
    invalid(
        "shard-header-altered",
        "corrupt",
        "read",
        "the manifest digests each header",
        p -> {
          byte[] bytes = Files.readAllBytes(p.resolve(EXPERTS));
          bytes[4000] = '\t';
          Files.write(p.resolve(EXPERTS), bytes);
        });
    invalid(
        "slice-altered",
        "corrupt",
        "digest",
        "the index digests each leaf",
        p -> {
          byte[] bytes = Files.readAllBytes(p.resolve(EXPERTS));
          bytes[4096] ^= 1;
          Files.write(p.resolve(EXPERTS), bytes);
        });
  }

  private void edited(String name, String error, String rule, String from, String to)
      throws IOException {
    invalid(name, error, "open", rule, p -> Tampering.manifest(p, text -> text.replace(from, to)));
  }

  private void reindexed(String name, String rule, UnaryOperator<List<IndexRow>> edit)
      throws IOException {
    invalid(name, "corrupt", "open", rule, p -> Tampering.index(p, edit));
  }

  private void invalid(String name, String error, String at, String rule, Damage damage)
      throws IOException {
    Path folder = root.resolve("invalid").resolve(name);
    TinyPackage.write(folder);
    damage.inflict(folder);
    cases.put(name, new Case(error, at, rule));
  }

  private static final Predicate<IndexRow> SCALE = row -> row.role() == Role.SCALE;
  private static final Predicate<IndexRow> FP8 = row -> row.dtype() == Dtype.F8_E4M3;

  private static List<IndexRow> changed(
      List<IndexRow> rows, Predicate<IndexRow> which, UnaryOperator<IndexRow> change) {
    int at = rows.indexOf(rows.stream().filter(which).findFirst().orElseThrow());
    return changed(rows, at, change);
  }

  private static IndexRow asIntegers(IndexRow r) {
    return copy(r, r.name(), Dtype.I32, r.encoding(), r.shape(), r.offset());
  }

  private static List<IndexRow> without(List<IndexRow> rows, Predicate<IndexRow> gone) {
    return rows.stream().filter(gone.negate()).toList();
  }

  private static List<IndexRow> changed(
      List<IndexRow> rows, int at, UnaryOperator<IndexRow> change) {
    List<IndexRow> result = new ArrayList<>(rows);
    result.set(at, change.apply(rows.get(at)));
    return result;
  }

  private static IndexRow named(IndexRow r, String name) {
    return copy(r, name, r.dtype(), r.encoding(), r.shape(), r.offset());
  }

  private static IndexRow reshaped(IndexRow r, Shape shape) {
    return copy(r, r.name(), r.dtype(), r.encoding(), shape, r.offset());
  }

  private static IndexRow moved(IndexRow r, long offset) {
    return copy(r, r.name(), r.dtype(), r.encoding(), r.shape(), offset);
  }

  private static IndexRow withExpert(IndexRow r) {
    return new IndexRow(
        r.kind(),
        r.name(),
        r.role(),
        r.layer(),
        0,
        null,
        r.dtype(),
        r.encoding(),
        r.shape(),
        r.shard(),
        r.offset(),
        r.bytes(),
        r.crc32c(),
        r.sha256(),
        r.sourceFile(),
        r.sourceTensor(),
        r.transform());
  }

  private static IndexRow encoded(IndexRow r, String encoding) {
    return copy(r, r.name(), r.dtype(), encoding, r.shape(), r.offset());
  }

  private static IndexRow copy(
      IndexRow r, String name, Dtype dtype, String encoding, Shape shape, long offset) {
    return new IndexRow(
        r.kind(),
        name,
        r.role(),
        r.layer(),
        r.expert(),
        r.projection(),
        dtype,
        encoding,
        shape,
        r.shard(),
        offset,
        r.bytes(),
        r.crc32c(),
        r.sha256(),
        r.sourceFile(),
        r.sourceTensor(),
        r.transform());
  }

  /** The cases as JSON. */
  static String describe(Map<String, Case> cases) {
    List<String> lines = new ArrayList<>();
    cases.forEach(
        (name, c) ->
            lines.add(
                "  \"%s\": {\"error\": \"%s\", \"at\": \"%s\", \"rule\": \"%s\"}"
                    .formatted(name, c.error(), c.at(), c.rule())));
    return "{\n" + String.join(",\n", lines) + "\n}\n";
  }

  public static void main(String[] arguments) throws IOException {
    Path root = Path.of(arguments[0]);
    Files.writeString(Files.createDirectories(root).resolve("cases.json"), describe(write(root)));
  }
}

package dev.moxie.format.pack;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Packages whose folder or manifest breaks a rule of SPEC.md, sections 1 and 2. */
final class ManifestVectors {
  static final String EXPERTS = "experts-L000.safetensors";

  private ManifestVectors() {}

  static void write(ConformanceVectors v) throws IOException {
    folder(v);
    form(v);
    lists(v);
    layout(v);
  }

  private static void folder(ConformanceVectors v) throws IOException {
    v.broken("no-manifest", "D1", "there is no moxie.json", "moxie.json")
        .answer("unfinished")
        .by(p -> Files.delete(p.resolve("moxie.json")));
    v.broken("shard-outside", "D2", "a shard's path begins with ../", "stays inside")
        .byWords("\"" + EXPERTS + "\"", "\"../" + EXPERTS + "\"");
    v.broken("ignored-file-outside", "D2", "a name of ignoredFiles begins with ../", "ignoredFiles")
        .byWords("\"ignoredFiles\" : [ ]", "\"ignoredFiles\" : [ \"../notes.txt\" ]");
    v.broken("index-a-link", "D3", "tensors.arrow is a symbolic link", "a regular file")
        .by(p -> link(p, "tensors.arrow"));
    v.broken("shard-a-link", "D3", "a shard is a symbolic link", EXPERTS)
        .at("read")
        .by(p -> link(p, EXPERTS));
    v.broken("folder-a-link", "D3", "the folder source is a symbolic link", "source/")
        .at("read")
        .by(
            p -> {
              Files.delete(p.resolve("source/config.json"));
              Files.delete(p.resolve("source/model.safetensors.header"));
              link(p, "source");
            });
  }

  /** To the same file of the valid package, so that its bytes are right. */
  private static void link(Path folder, String name) throws IOException {
    Files.delete(folder.resolve(name));
    Files.createSymbolicLink(folder.resolve(name), Path.of("../../valid/minimal").resolve(name));
  }

  private static void form(ConformanceVectors v) throws IOException {
    v.broken("manifest-cut", "M1", "moxie.json is cut short", "its own SHA-256")
        .by(
            p -> {
              byte[] bytes = Files.readAllBytes(p.resolve("moxie.json"));
              Files.write(p.resolve("moxie.json"), Arrays.copyOf(bytes, 500));
            });
    v.broken("manifest-edited", "M1", "a number was changed, the digest was not", "its own SHA-256")
        .by(
            p -> {
              String text = Files.readString(p.resolve("moxie.json"));
              Files.writeString(
                  p.resolve("moxie.json"),
                  Tampering.replaced(text, "\"scale\" : 1.0", "\"scale\" : 2.0"));
            });
    v.broken("byte-order-mark", "M2", "a byte-order mark stands before the brace", "0xef")
        .byManifest(text -> "\ufeff" + text);
    v.broken("key-twice", "M3", "tiedEmbeddings stands twice, with both values", "tiedEmbeddings")
        .byWords(
            "\"tiedEmbeddings\" : false", "\"tiedEmbeddings\" : true, \"tiedEmbeddings\" : false");
    v.broken("member-missing", "M4", "provenance.ignoredFiles is missing", "ignoredFiles")
        .byWords("\"ignoredFiles\" : [ ],", "");
    v.broken("member-unknown", "M4", "a member that version 1.0 does not have", "colour")
        .byWords("\"encodings\"", "\"colour\" : \"red\", \"encodings\"");
    v.broken(
            "unknown-member-of-the-architecture",
            "M4",
            "the routing has a member that version 1.0 does not have",
            "jitter")
        .byWords("\"expertsPerToken\"", "\"jitter\" : 4, \"expertsPerToken\"");
    v.broken("number-for-a-string", "M4", "provenance.family is a number", "family")
        .byWords("\"family\" : \"tiny\"", "\"family\" : 7");
    v.broken(
            "half-a-surrogate-pair",
            "M4",
            "provenance.family is half of a surrogate pair",
            "surrogate")
        .byWords("\"family\" : \"tiny\"", "\"family\" : \"\\ud800\"");
    v.broken("null-for-an-entry", "M4", "ignoredFiles holds null", "null for an entry")
        .byWords("\"ignoredFiles\" : [ ]", "\"ignoredFiles\" : [ null ]");
    v.broken("count-with-a-fraction", "M4", "vocabSize is 5.0", "vocabSize")
        .byWords("\"vocabSize\" : 5", "\"vocabSize\" : 5.0");
    v.broken("updates-unsorted", "M6", "the larger scale stands first", "sorted by rank")
        .in(p -> ConformanceVectors.stored(p, TinyPackage.ARCHITECTURE, TinyPackage.Stored.MERGED))
        .byManifest(text -> text.replace("\"scale\" : 0.5", "\"scale\" : 80.0"));
    v.broken("negative-size", "M4", "a weight file of the checkpoint has -1 bytes", "found -1")
        .byManifest(
            text ->
                text.replaceFirst(
                    "(\"file\" : \"model.safetensors\",\\s+\"bytes\" :) \\d+", "$1 -1"));
    v.broken("unknown-score-function", "M5", "score is sparsemax", "sparsemax")
        .byWords("\"softmax\"", "\"sparsemax\"");
    v.broken("blanks-around-a-value", "M5", "there are blanks around silu", "silu")
        .byWords("\"silu\"", "\" silu \"");
    v.broken("encoding-of-no-version", "M5", "encodings has zip", "zip")
        .byWords("\"plain\"", "\"plain\", \"zip\"");
  }

  private static void lists(ConformanceVectors v) throws IOException {
    v.broken("files-unsorted", "M6", "ignoredFiles has b before a", "sorted")
        .byWords("\"ignoredFiles\" : [ ]", "\"ignoredFiles\" : [ \"b\", \"a\" ]");
    v.broken("entry-twice", "M6", "ignoredConfigKeys has a key twice", "each once")
        .byWords("\"ignoredConfigKeys\" : [ ]", "\"ignoredConfigKeys\" : [ \"a\", \"a\" ]");
    v.broken(
            "order-of-code-units",
            "M6",
            "ignoredFiles is sorted by the code units of UTF-16, not by bytes of UTF-8",
            "sorted")
        .byWords("\"ignoredFiles\" : [ ]", "\"ignoredFiles\" : [ \"\ud83d\ude00\", \"\uff21\" ]");
    v.broken(
            "encodings-not-those-of-the-index",
            "M7",
            "encodings has fp8_block_128x128, no row has",
            "the manifest's encodings")
        .byWords("\"plain\"", "\"fp8_block_128x128\", \"plain\"");
    v.broken("shard-among-the-files", "M8", "files lists a shard", "files")
        .byManifest(
            text ->
                Tampering.replaced(
                    text,
                    "\"files\" : [",
                    "\"files\" : [ {\"path\" : \"%s\", \"bytes\" : 1, \"sha256\" : \"%s\"},"
                        .formatted(EXPERTS, Digests.sha256(new byte[1]))));
    v.broken("header-larger-than-its-shard", "M9", "headerBytes is 99999999", "headerBytes")
        .byManifest(
            text -> text.replaceFirst("\"headerBytes\" : \\d+", "\"headerBytes\" : 99999999"));
    v.broken("source-header-unlisted", "M10", "files has no header of the checkpoint", ".header")
        .by(
            p -> {
              Files.delete(p.resolve("source/model.safetensors.header"));
              Tampering.manifest(
                  p,
                  text -> text.replaceFirst("\\{\\s+\"path\" : \"source/model[^}]*\\},\\s+", ""));
            });
    v.broken(
            "ignored-key-of-no-config",
            "M12",
            "ignoredConfigKeys has a key that config.json has not",
            "colour")
        .at("read")
        .byWords("\"ignoredConfigKeys\" : [ ]", "\"ignoredConfigKeys\" : [ \"colour\" ]");
    v.broken(
            "prediction-undeclared",
            "M11",
            "provenance says that layers for multi-token prediction were dropped, the architecture"
                + " has one",
            "multi-token prediction")
        .in(TinyPackage::writeLatent)
        .byWords("\"prediction\" : \"kept\"", "\"prediction\" : \"dropped\"");
  }

  private static void layout(ConformanceVectors v) throws IOException {
    v.broken(
            "more-ranks-than-experts",
            "L1",
            "five ranks for four experts, the first of them without any",
            "expertParallel")
        .in(
            p ->
                TinyPackage.write(
                    p, TinyPackage.architecture(4, 4, 2), new Manifest.Layout(4, null), false))
        .byManifest(
            text -> {
              String more =
                  Tampering.replaced(text, "\"expertParallel\" : 4", "\"expertParallel\" : 5");
              for (int rank = 3; rank >= 0; rank--) {
                more = Tampering.replaced(more, "\"rank\" : " + rank, "\"rank\" : " + (rank + 1));
              }
              return more;
            });
    v.broken("experts-of-another-rank", "L2", "two ranks' experts for three", "rank")
        .in(ManifestVectors::ranked)
        .byWords("\"expertParallel\" : 2", "\"expertParallel\" : 3");
    v.broken("rank-missing", "L2", "a shard of experts does not say whose it is", "rank-1-of-2")
        .in(ManifestVectors::ranked)
        .byWords("\"rank\" : 1", "\"rank\" : null");
    v.broken("rank-of-the-backbone", "L2", "the backbone has a rank", "for every rank")
        .in(ManifestVectors::ranked)
        .byWords("\"rank\" : null", "\"rank\" : 0");
    v.broken("rank-of-a-single-one", "L2", "a shard of experts has a rank, there is one", "rank 0")
        .byManifest(text -> text.replaceFirst("(?s)(" + EXPERTS + ".*?\"rank\" :) null", "$1 0"));
  }

  private static void ranked(Path folder) {
    TinyPackage.write(
        folder, TinyPackage.architecture(4, 4, 2), new Manifest.Layout(2, null), false);
  }
}

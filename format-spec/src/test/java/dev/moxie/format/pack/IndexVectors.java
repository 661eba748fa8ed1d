package dev.moxie.format.pack;

import static dev.moxie.format.pack.Rows.changed;
import static dev.moxie.format.pack.Rows.named;

import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.model.Role;
import dev.moxie.format.view.View;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.apache.arrow.flatbuf.MetadataVersion;

/** Packages whose index breaks a rule of SPEC.md, section 3. */
final class IndexVectors {
  static final int ROLE = 2;
  static final int VIEW = 16;
  static final int TRANSFORM = 17;

  private IndexVectors() {}

  static void write(ConformanceVectors v) throws IOException {
    file(v);
    columns(v);
    rows(v);
    digests(v);
    origins(v);
  }

  private static void file(ConformanceVectors v) throws IOException {
    v.broken("index-altered", "I1", "a byte of the index was changed", "SHA-256")
        .by(
            p -> {
              byte[] bytes = Files.readAllBytes(p.resolve("tensors.arrow"));
              bytes[bytes.length / 2] ^= 1;
              Files.write(p.resolve("tensors.arrow"), bytes);
            });
    v.broken("metadata-version-4", "I2", "the footer has metadata version 4", "version 4")
        .by(
            p ->
                Tampering.indexBytes(
                    p, b -> b.putShort(Tampering.field(b, footer(b), 0), MetadataVersion.V4)));
    v.broken("metadata-version-6", "I2", "the record batch has metadata version 6", "version 6")
        .by(
            p ->
                Tampering.indexBytes(
                    p,
                    b ->
                        b.putShort(
                            Tampering.field(b, message(b), 0), (short) (MetadataVersion.V5 + 1))));
    v.broken("footer-not-whole", "I2", "a name in the footer is not closed by a zero", "Arrow")
        .by(p -> Tampering.indexBytes(p, b -> b.put(lastOf(b, "kind\0") + 4, (byte) 'x')));
    v.broken(
            "batch-of-another-length",
            "I2",
            "the footer's block is 8 bytes shorter than the batch",
            "bytes")
        .by(
            p ->
                Tampering.indexBytes(
                    p,
                    b -> {
                      int length = block(b) + 16;
                      b.putLong(length, b.getLong(length) - 8);
                    }));
    v.broken(
            "batch-unaligned",
            "I2",
            "the footer's block begins at a multiple of 4 bytes",
            "multiples of 8")
        .by(p -> Tampering.indexBytes(p, b -> b.putLong(block(b), b.getLong(block(b)) + 4)));
    v.broken(
            "first-message-of-another-schema",
            "I2",
            "the file begins with another schema than its footer's",
            "first message")
        .by(p -> Tampering.indexBytes(p, b -> b.put(firstOf(b, "kind\0") + 3, (byte) 'e')));
  }

  private static void columns(ConformanceVectors v) throws IOException {
    v.broken("column-too-many", "I3", "an eighteenth column in version 1.0", "18 columns")
        .by(
            p -> {
              List<ArrowColumn<IndexRow>> more = new ArrayList<>(ArrowIndex.COLUMNS);
              more.add(new ArrowColumn<>("colour", ArrowType.UTF8, true, r -> null));
              Tampering.columns(p, more);
            });
    v.broken("column-too-few", "I3", "there is no column transform", "transform")
        .by(p -> Tampering.columns(p, ArrowIndex.COLUMNS.subList(0, TRANSFORM)));
    v.broken("columns-out-of-order", "I3", "offset and bytes have changed places", "offset")
        .by(
            p -> {
              List<ArrowColumn<IndexRow>> swapped = new ArrayList<>(ArrowIndex.COLUMNS);
              swapped.add(10, swapped.remove(11));
              Tampering.columns(p, swapped);
            });
    v.broken("null-count-wrong", "I3", "the column layer counts a null less than it has", "nulls")
        .by(
            p ->
                Tampering.indexBytes(
                    p,
                    b -> {
                      int batch = Tampering.target(b, Tampering.field(b, message(b), 2));
                      int nodes = Tampering.target(b, Tampering.field(b, batch, 1)) + 4;
                      int nullsOfLayer = nodes + 3 * 16 + 8;
                      b.putLong(nullsOfLayer, b.getLong(nullsOfLayer) - 1);
                    }));
    v.broken("role-unknown", "I4", "a row has the role embodding", "embodding")
        .by(p -> rewrite(p, ROLE, "embedding", "embodding"));
    v.broken("transform-unknown", "I4", "a row has the transform zipped", "zipped")
        .by(p -> rewrite(p, TRANSFORM, "copy", "zipped"));
  }

  private static void rows(ConformanceVectors v) throws IOException {
    v.broken("bytes-not-of-the-shape", "I5", "a stack row states a byte more", "bytes of its shape")
        .byIndex(rows -> changed(rows, r -> !r.isLeaf(), r -> Rows.sized(r, r.bytes() + 1)));
    v.broken("offset-overlapping", "I6", "a leaf begins in the one before it", "to start at")
        .byIndex(rows -> changed(rows, r -> r.offset() > 4096, r -> Rows.moved(r, r.offset() - 2)));
    v.broken("expert-on-a-tensor", "I9", "a tensor row has an expert", "on slices")
        .byIndex(rows -> changed(rows, r -> true, r -> Rows.ofExpert(r, 0)));
    v.broken(
            "experts-out-of-order",
            "I10",
            "the rows of the last two slices have changed places",
            "slice")
        .byIndex(
            rows -> {
              List<IndexRow> swapped = new ArrayList<>(rows);
              swapped.add(swapped.remove(rows.size() - 2));
              return swapped;
            });
    v.broken(
            "slices-apart-from-their-stack",
            "I10",
            "the last slice stands before all other rows",
            "just after")
        .byIndex(
            rows -> {
              List<IndexRow> apart = new ArrayList<>(rows);
              apart.addFirst(apart.removeLast());
              return apart;
            });
    v.broken("filler-in-a-layer", "I19", "a filler has layer 99", "filler")
        .in(ShardVectors::filled)
        .byIndex(rows -> changed(rows, r -> r.role() == Role.PADDING, r -> Rows.inLayer(r, 99)));
  }

  private static void digests(ConformanceVectors v) throws IOException {
    v.broken("digests-on-a-stack", "I12", "a stack row has both digests", "digests")
        .byIndex(
            rows ->
                changed(
                    rows,
                    r -> !r.isLeaf(),
                    r -> Rows.digested(r, 0L, Digests.sha256(new byte[0]))));
    v.broken("crc-on-a-stack", "I12", "a stack row has one digest", "digests")
        .byIndex(rows -> changed(rows, r -> !r.isLeaf(), r -> Rows.digested(r, 0L, null)));
    v.broken("sha256-missing", "I12", "a leaf has no sha256", "digests")
        .byIndex(rows -> changed(rows, r -> true, r -> Rows.digested(r, r.crc32c(), null)));
  }

  private static void origins(ConformanceVectors v) throws IOException {
    v.broken("source-missing", "I13", "a leaf has no source_file", "a source")
        .byIndex(
            rows ->
                changed(rows, r -> true, r -> Rows.from(r, null, r.sourceTensor(), r.transform())));
    v.broken("source-without-a-name", "I13", "a leaf has an empty source_tensor", "an empty one")
        .byIndex(
            rows -> changed(rows, r -> true, r -> Rows.from(r, r.sourceFile(), "", r.transform())));
    v.broken(
            "source-file-unlisted",
            "I14",
            "a leaf comes from a file that provenance does not list",
            "weight files")
        .byIndex(
            rows ->
                changed(
                    rows,
                    r -> true,
                    r -> Rows.from(r, "other.safetensors", r.sourceTensor(), r.transform())));
    v.broken("source-twice", "I15", "two norms come from one tensor", "of its own")
        .byIndex(
            rows ->
                changed(
                    rows,
                    named("final_norm.weight"),
                    r ->
                        Rows.from(
                            r, r.sourceFile(), "layers.0.attention_norm.weight", r.transform())));
    views(v);
    v.broken("cast-undeclared", "I16", "weights were cast, provenance.cast is null", "declares")
        .in(IndexVectors::cast)
        .byManifest(text -> text.replaceFirst("\"cast\" : \\{[^}]*\\}", "\"cast\" : null"));
    v.broken("quantised-undeclared", "I16", "no quantisation is declared", "declares")
        .in(IndexVectors::inInt8)
        .byManifest(text -> text.replaceFirst("(\"quantisation\" : )\\{[^}]*\\}", "$1null"));
    v.broken("merge-undeclared", "I16", "no adapter is declared", "declares")
        .in(IndexVectors::merged)
        .byManifest(
            text -> text.replaceFirst(",\\s*\"adapter\" : \\{[\\s\\S]*?\\}\\s*\\]\\s*\\}", ""));
    v.broken("merge-of-fewer", "I22", "more is declared than was merged", "matrices")
        .in(IndexVectors::merged)
        .byManifest(text -> text.replaceFirst("(\"matrices\" : )1\\b", "$12"));
    v.broken("merged-norm", "I17", "a norm is said to have been merged into", "applies")
        .in(IndexVectors::merged)
        .byIndex(
            rows -> {
              List<IndexRow> others =
                  changed(rows, named("layers.0.attention.query.weight"), r -> made(r, "copy"));
              return changed(others, named("final_norm.weight"), r -> made(r, "merge"));
            });
    v.broken("plain-quantised", "I17", "a matrix in plain is said to be quantised", "applies")
        .in(IndexVectors::inInt8)
        .byIndex(
            rows ->
                changed(
                    rows,
                    Rows.named("layers.0.attention.query.weight"),
                    r ->
                        Rows.from(
                            r,
                            r.sourceFile(),
                            r.sourceTensor(),
                            IndexRow.quantise(null, new Int8Channel()))));
    v.broken(
            "scales-of-another-source",
            "I21",
            "scales are said to be of another tensor than their values",
            "scales that were made of")
        .in(IndexVectors::inInt8)
        .byIndex(
            rows ->
                changed(
                    rows,
                    r -> r.role() == Role.SCALE && r.isLeaf(),
                    r ->
                        Rows.from(
                            r, r.sourceFile(), "layers.0.attention_norm.weight", r.transform())));
    v.broken("norm-dequantised", "I17", "a norm is said to have been in blocks", "applies")
        .in(IndexVectors::cast)
        .byIndex(
            rows ->
                changed(
                    rows,
                    named("final_norm.weight"),
                    r ->
                        Rows.from(
                            r,
                            r.sourceFile(),
                            r.sourceTensor(),
                            IndexRow.dequantise(TinyPackage.BLOCKS))));
    v.broken(
            "source-of-another-dtype",
            "I18",
            "the checkpoint's header has a copied tensor in another dtype",
            "F16")
        .at("read")
        .by(
            p ->
                Tampering.file(
                    p,
                    "source/model.safetensors.header",
                    bytes ->
                        new String(bytes, StandardCharsets.ISO_8859_1)
                            .replaceFirst("\"dtype\":\"BF16\"", "\"dtype\": \"F16\"")
                            .getBytes(StandardCharsets.ISO_8859_1)));
    v.broken(
            "source-without-scales",
            "I18",
            "the checkpoint's header has no scales for a tensor that was in blocks",
            "experts.0.up")
        .at("read")
        .in(p -> ConformanceVectors.stored(p, TinyPackage.LATENT, TinyPackage.Stored.DEQUANTISED))
        .by(
            p ->
                Tampering.file(
                    p,
                    "source/model.safetensors.header",
                    bytes ->
                        Tampering.replaced(
                                new String(bytes, StandardCharsets.ISO_8859_1),
                                "layers.1.experts.0.up.weight_scale_inv",
                                "layers.1.experts.0.up.weight_scale_out")
                            .getBytes(StandardCharsets.ISO_8859_1)));
  }

  private static void views(ConformanceVectors v) throws IOException {
    fused(v, "view-too-many", "I15", "an expert sees what another sees", "more than one leaf")
        .byIndex(
            rows ->
                changed(
                    rows,
                    r -> Integer.valueOf(1).equals(r.expert()),
                    r -> Rows.seen(r, first(rows, r).view())));
    fused(v, "view-beside-its-place", "I15", "a view begins one element late", "no leaf")
        .byIndex(rows -> changed(rows, r -> r.view() != null, r -> Rows.seen(r, later(r, 1))));
    fused(v, "view-of-another-stride", "I15", "a view has another stride", "leaf for some")
        .byIndex(
            rows ->
                changed(
                    rows,
                    r -> r.view() != null && r.view().shape().rank() == 2,
                    r -> Rows.seen(r, wider(Objects.requireNonNull(r.view())))));
    fused(v, "view-and-all", "I15", "a leaf is a whole tensor that others see", "of its own")
        .byIndex(rows -> changed(rows, r -> r.view() != null, r -> Rows.seen(r, null)));
    fused(v, "view-of-too-few", "I20", "a view has fewer elements than its leaf", "elements of")
        .byIndex(
            rows ->
                changed(
                    rows,
                    r -> r.view() != null,
                    r -> Rows.seen(r, View.run(0, r.shape().elements() - 1))));
    fused(v, "view-of-a-stack", "I20", "a stack row has a view", "a view of a source")
        .byIndex(
            rows ->
                changed(
                    rows, r -> !r.isLeaf(), r -> Rows.seen(r, View.run(0, r.shape().elements()))));
    fused(v, "view-not-simplified", "I20", "a view has an extent of one", "simplest form")
        .by(p -> numbers(p, view -> List.of(view.getFirst(), 1L, 1L)));
    fused(v, "view-without-a-stride", "I20", "a view has more extents than strides", "as many")
        .by(p -> numbers(p, view -> view.subList(0, view.size() - 1)));
    v.broken("views-of-a-part", "I18", "no leaf sees the last row of a source", "leaves of all")
        .at("read")
        .made(
            p ->
                ConformanceVectors.stored(
                    p, TinyPackage.ARCHITECTURE, TinyPackage.Stored.FUSED_IN_PART));
    v.broken("view-of-all", "I18", "a view is of a whole tensor as it lies", "copy of a tensor")
        .at("read")
        .byIndex(
            rows ->
                changed(
                    rows,
                    named("final_norm.weight"),
                    r -> Rows.seen(r, View.run(0, r.shape().elements()))));
  }

  private static ConformanceVectors.Broken fused(
      ConformanceVectors v, String name, String rule, String breaks, String says) {
    return v.broken(name, rule, breaks, says)
        .in(p -> ConformanceVectors.stored(p, TinyPackage.ARCHITECTURE, TinyPackage.Stored.FUSED));
  }

  /** The same projection of the first expert. */
  private static IndexRow first(List<IndexRow> rows, IndexRow like) {
    return rows.stream()
        .filter(r -> r.name().equals(like.name()) && r.projection() == like.projection())
        .filter(r -> Integer.valueOf(0).equals(r.expert()))
        .findFirst()
        .orElseThrow();
  }

  private static View later(IndexRow row, long by) {
    View view = Objects.requireNonNull(row.view());
    return new View(view.offset() + by, view.shape(), view.strides());
  }

  private static View wider(View view) {
    List<Long> strides = new ArrayList<>(view.strides());
    strides.set(0, strides.get(0) + 1);
    return new View(view.offset(), view.shape(), strides);
  }

  /** Writes the numbers of the first view otherwise. */
  private static void numbers(Path folder, UnaryOperator<List<Long>> edit) throws IOException {
    boolean[] done = {false};
    List<ArrowColumn<IndexRow>> columns = new ArrayList<>(ArrowIndex.COLUMNS);
    ArrowColumn<IndexRow> old = columns.get(VIEW);
    columns.set(
        VIEW,
        new ArrowColumn<>(
            old.name(),
            old.type(),
            old.nullable(),
            row -> {
              @SuppressWarnings("unchecked") // What the column holds.
              List<Long> numbers = (List<Long>) old.value().apply(row);
              if (numbers == null || done[0]) {
                return numbers;
              }
              done[0] = true;
              return edit.apply(numbers);
            }));
    Tampering.columns(folder, columns);
  }

  private static void cast(Path folder) {
    ConformanceVectors.stored(folder, TinyPackage.ARCHITECTURE, TinyPackage.Stored.CAST);
  }

  private static IndexRow made(IndexRow row, String transform) {
    return Rows.from(row, row.sourceFile(), row.sourceTensor(), transform);
  }

  private static void merged(Path folder) {
    ConformanceVectors.stored(folder, TinyPackage.ARCHITECTURE, TinyPackage.Stored.MERGED);
  }

  /** Puts another word into the first row that has one in some column. */
  static void rewrite(Path folder, int column, String from, String to) throws IOException {
    ArrowColumn<IndexRow> old = ArrowIndex.COLUMNS.get(column);
    boolean[] done = {false};
    List<ArrowColumn<IndexRow>> columns = new ArrayList<>(ArrowIndex.COLUMNS);
    columns.set(
        column,
        new ArrowColumn<>(
            old.name(),
            old.type(),
            old.nullable(),
            row -> {
              Object value = old.value().apply(row);
              if (from.equals(value) && !done[0]) {
                done[0] = true;
                return to;
              }
              return value;
            }));
    Tampering.columns(folder, columns);
  }

  private static void inInt8(Path folder) {
    ConformanceVectors.stored(folder, TinyPackage.architecture(2, 4, 3), TinyPackage.Stored.INT8);
  }

  private static int footer(ByteBuffer file) {
    int end = file.limit() - ArrowFileWriter.MAGIC.length - 4;
    return Tampering.target(file, end - file.getInt(end));
  }

  /** The place of the footer's one block: offset, length of the metadata, length of the body. */
  private static int block(ByteBuffer file) {
    return Tampering.target(file, Tampering.field(file, footer(file), 3)) + 4;
  }

  private static int message(ByteBuffer file) {
    return Tampering.target(file, (int) file.getLong(block(file)) + 8);
  }

  private static int firstOf(ByteBuffer file, String text) {
    return new String(file.array(), StandardCharsets.ISO_8859_1).indexOf(text);
  }

  private static int lastOf(ByteBuffer file, String text) {
    return new String(file.array(), StandardCharsets.ISO_8859_1).lastIndexOf(text);
  }
}

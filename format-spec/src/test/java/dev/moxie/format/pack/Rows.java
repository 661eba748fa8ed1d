package dev.moxie.format.pack;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** Index rows that differ from others in one value. */
final class Rows {
  private Rows() {}

  static List<IndexRow> without(List<IndexRow> rows, Predicate<IndexRow> gone) {
    return rows.stream().filter(gone.negate()).toList();
  }

  /** Changes the first row of a kind. */
  static List<IndexRow> changed(
      List<IndexRow> rows, Predicate<IndexRow> which, UnaryOperator<IndexRow> change) {
    List<IndexRow> result = new ArrayList<>(rows);
    int at = rows.indexOf(rows.stream().filter(which).findFirst().orElseThrow());
    result.set(at, change.apply(rows.get(at)));
    return result;
  }

  static Predicate<IndexRow> named(String name) {
    return row -> row.name().equals(name);
  }

  static IndexRow moved(IndexRow r, long offset) {
    return copy(r, r.layer(), r.expert(), r.encoding(), offset);
  }

  static IndexRow sized(IndexRow r, long bytes) {
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
        bytes,
        r.crc32c(),
        r.sha256(),
        r.sourceFile(),
        r.sourceTensor(),
        r.transform());
  }

  static IndexRow encoded(IndexRow r, String encoding) {
    return copy(r, r.layer(), r.expert(), encoding, r.offset());
  }

  static IndexRow inLayer(IndexRow r, int layer) {
    return copy(r, layer, r.expert(), r.encoding(), r.offset());
  }

  static IndexRow ofExpert(IndexRow r, int expert) {
    return copy(r, r.layer(), expert, r.encoding(), r.offset());
  }

  static IndexRow digested(IndexRow r, @Nullable Long crc32c, @Nullable String sha256) {
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
        crc32c,
        sha256,
        r.sourceFile(),
        r.sourceTensor(),
        r.transform());
  }

  static IndexRow from(
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

  private static IndexRow copy(
      IndexRow r, @Nullable Integer layer, @Nullable Integer expert, String encoding, long offset) {
    return new IndexRow(
        r.kind(),
        r.name(),
        r.role(),
        layer,
        expert,
        r.projection(),
        r.dtype(),
        encoding,
        r.shape(),
        r.shard(),
        offset,
        r.bytes(),
        r.crc32c(),
        r.sha256(),
        r.sourceFile(),
        r.sourceTensor(),
        r.transform());
  }
}

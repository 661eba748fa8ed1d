package dev.moxie.format.pack;

import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.view.View;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
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

  static IndexRow moved(IndexRow row, long offset) {
    return copy(row, c -> c.offset = offset);
  }

  static IndexRow sized(IndexRow row, long bytes) {
    return copy(row, c -> c.bytes = bytes);
  }

  static IndexRow encoded(IndexRow row, Encoding encoding) {
    return copy(row, c -> c.encoding = encoding);
  }

  static IndexRow inLayer(IndexRow row, int layer) {
    return copy(row, c -> c.layer = layer);
  }

  static IndexRow ofExpert(IndexRow row, int expert) {
    return copy(row, c -> c.expert = expert);
  }

  static IndexRow digested(IndexRow row, @Nullable Long crc32c, @Nullable String sha256) {
    return copy(
        row,
        c -> {
          c.crc32c = crc32c;
          c.sha256 = sha256;
        });
  }

  static IndexRow from(
      IndexRow row, @Nullable String file, @Nullable String tensor, @Nullable String transform) {
    return copy(
        row,
        c -> {
          c.sourceFile = file;
          c.sourceTensor = tensor;
          c.transform = transform;
        });
  }

  static IndexRow seen(IndexRow row, @Nullable View view) {
    return copy(row, c -> c.view = view);
  }

  private static IndexRow copy(IndexRow row, Consumer<Copy> change) {
    var copy = new Copy(row);
    change.accept(copy);
    return copy.row();
  }

  /** What of a row is ever changed. */
  private static final class Copy {
    private final IndexRow of;
    private @Nullable Integer layer;
    private @Nullable Integer expert;
    private Encoding encoding;
    private long offset;
    private long bytes;
    private @Nullable Long crc32c;
    private @Nullable String sha256;
    private @Nullable String sourceFile;
    private @Nullable String sourceTensor;
    private @Nullable View view;
    private @Nullable String transform;

    Copy(IndexRow of) {
      this.of = of;
      this.layer = of.layer();
      this.expert = of.expert();
      this.encoding = of.encoding();
      this.offset = of.offset();
      this.bytes = of.bytes();
      this.crc32c = of.crc32c();
      this.sha256 = of.sha256();
      this.sourceFile = of.sourceFile();
      this.sourceTensor = of.sourceTensor();
      this.view = of.view();
      this.transform = of.transform();
    }

    IndexRow row() {
      return new IndexRow(
          of.kind(),
          of.name(),
          of.role(),
          layer,
          expert,
          of.projection(),
          of.dtype(),
          encoding,
          of.shape(),
          of.shard(),
          offset,
          bytes,
          crc32c,
          sha256,
          sourceFile,
          sourceTensor,
          view,
          transform);
    }
  }
}

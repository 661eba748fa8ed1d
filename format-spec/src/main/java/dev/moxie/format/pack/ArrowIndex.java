package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** The columns of {@code tensors.arrow}, and rows to and from them. */
final class ArrowIndex {
  /**
   * One column.
   *
   * @param value what a row puts there; null only where {@code nullable}
   */
  record Column(
      String name, ArrowType type, boolean nullable, Function<IndexRow, @Nullable Object> value) {}

  /** The physical types that the index uses. */
  enum ArrowType {
    UTF8,
    INT32,
    UINT32,
    INT64,
    INT64_LIST,
    DIGEST
  }

  static final List<Column> COLUMNS =
      List.of(
          new Column("kind", ArrowType.UTF8, false, r -> r.kind().id()),
          new Column("name", ArrowType.UTF8, false, IndexRow::name),
          new Column("role", ArrowType.UTF8, false, r -> r.role().id()),
          new Column("layer", ArrowType.INT32, true, IndexRow::layer),
          new Column("expert", ArrowType.INT32, true, IndexRow::expert),
          new Column(
              "projection",
              ArrowType.UTF8,
              true,
              r -> r.projection() == null ? null : r.projection().id()),
          new Column("dtype", ArrowType.UTF8, false, r -> r.dtype().name()),
          new Column("encoding", ArrowType.UTF8, false, IndexRow::encoding),
          new Column("shape", ArrowType.INT64_LIST, false, r -> r.shape().dims()),
          new Column("shard", ArrowType.UTF8, false, IndexRow::shard),
          new Column("offset", ArrowType.INT64, false, IndexRow::offset),
          new Column("bytes", ArrowType.INT64, false, IndexRow::bytes),
          new Column("crc32c", ArrowType.UINT32, true, IndexRow::crc32c),
          new Column(
              "sha256",
              ArrowType.DIGEST,
              true,
              r -> r.sha256() == null ? null : HexFormat.of().parseHex(r.sha256())),
          new Column("source_file", ArrowType.UTF8, true, IndexRow::sourceFile),
          new Column("source_tensor", ArrowType.UTF8, true, IndexRow::sourceTensor),
          new Column("transform", ArrowType.UTF8, true, IndexRow::transform));

  private ArrowIndex() {}

  static byte[] encode(List<IndexRow> rows) {
    return ArrowFileWriter.write(COLUMNS, rows);
  }

  /**
   * Decodes the file's bytes.
   *
   * @throws CorruptException if they are no Arrow IPC file with exactly these columns, or a value
   *     is not of its column's vocabulary
   */
  static List<IndexRow> decode(String where, byte[] file) {
    @Nullable Object[][] values;
    try {
      values = ArrowFileReader.read(where, COLUMNS, file);
    } catch (IndexOutOfBoundsException | IllegalArgumentException | ArithmeticException e) {
      // Flatbuffers checks bounds by letting the buffer throw.
      throw corrupt(where, "an Arrow IPC file", "offsets that lead out of it");
    }
    List<IndexRow> rows = new ArrayList<>();
    int count = values[0].length;
    for (int i = 0; i < count; i++) {
      rows.add(row(where + ", row " + i, values, i));
    }
    return rows;
  }

  private static IndexRow row(String where, @Nullable Object[][] values, int i) {
    var cells = new Cells(where, values, i);
    return new IndexRow(
        cells.word("kind", IndexRow.Kind::of),
        cells.get("name", String.class),
        cells.word("role", Role::of),
        cells.find("layer", Integer.class),
        cells.find("expert", Integer.class),
        cells.find("projection", String.class) == null
            ? null
            : cells.word("projection", Projection::of),
        cells.word("dtype", Dtype::named),
        cells.get("encoding", String.class),
        shape(where, cells.get("shape", long[].class)),
        cells.get("shard", String.class),
        cells.get("offset", Long.class),
        cells.get("bytes", Long.class),
        cells.find("crc32c", Long.class),
        hex(cells.find("sha256", byte[].class)),
        cells.find("source_file", String.class),
        cells.find("source_tensor", String.class),
        cells.find("transform", String.class));
  }

  private static Shape shape(String where, long[] dims) {
    for (long dim : dims) {
      if (dim < 0) {
        throw corrupt(where, "extents from 0", String.valueOf(dim));
      }
    }
    return Shape.of(dims);
  }

  private static @Nullable String hex(byte @Nullable [] digest) {
    return digest == null ? null : HexFormat.of().formatHex(digest);
  }

  static CorruptException corrupt(String where, String expected, String found) {
    return new CorruptException(
        where, expected, found, "the index is damaged, restore it or convert again");
  }

  /** One row of decoded columns, by column name. */
  private static final class Cells {
    private final String where;
    private final @Nullable Object[][] values;
    private final int row;

    Cells(String where, @Nullable Object[][] values, int row) {
      this.where = where;
      this.values = values;
      this.row = row;
    }

    <T> @Nullable T find(String column, Class<T> type) {
      for (int c = 0; c < COLUMNS.size(); c++) {
        if (COLUMNS.get(c).name().equals(column)) {
          return type.cast(values[c][row]);
        }
      }
      throw new AssertionError(column);
    }

    <T> T get(String column, Class<T> type) {
      T value = find(column, type);
      if (value == null) {
        throw corrupt(where, "a value in column " + column, "null");
      }
      return value;
    }

    <T> T word(String column, Function<String, Optional<T>> vocabulary) {
      String word = get(column, String.class);
      return vocabulary
          .apply(word)
          .orElseThrow(() -> corrupt(where, "a " + column + " of the format", "\"" + word + "\""));
    }
  }
}

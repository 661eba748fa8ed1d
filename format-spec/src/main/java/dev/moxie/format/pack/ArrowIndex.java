package dev.moxie.format.pack;

import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.TooNewException;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.view.View;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** The columns of {@code tensors.arrow}, and rows to and from them. */
final class ArrowIndex {
  static final List<ArrowColumn<IndexRow>> COLUMNS =
      List.of(
          new ArrowColumn<>("kind", ArrowType.UTF8, false, r -> r.kind().id()),
          new ArrowColumn<>("name", ArrowType.UTF8, false, IndexRow::name),
          new ArrowColumn<>("role", ArrowType.UTF8, false, r -> r.role().id()),
          new ArrowColumn<>("layer", ArrowType.INT32, true, IndexRow::layer),
          new ArrowColumn<>("expert", ArrowType.INT32, true, IndexRow::expert),
          new ArrowColumn<>(
              "projection",
              ArrowType.UTF8,
              true,
              r -> r.projection() == null ? null : r.projection().id()),
          new ArrowColumn<>("dtype", ArrowType.UTF8, false, r -> r.dtype().name()),
          new ArrowColumn<>("encoding", ArrowType.UTF8, false, r -> r.encoding().id()),
          new ArrowColumn<>("shape", ArrowType.INT64_LIST, false, r -> r.shape().dims()),
          new ArrowColumn<>("shard", ArrowType.UTF8, false, IndexRow::shard),
          new ArrowColumn<>("offset", ArrowType.INT64, false, IndexRow::offset),
          new ArrowColumn<>("bytes", ArrowType.INT64, false, IndexRow::bytes),
          new ArrowColumn<>("crc32c", ArrowType.UINT32, true, IndexRow::crc32c),
          new ArrowColumn<>("sha256", ArrowType.DIGEST, true, IndexRow::sha256),
          new ArrowColumn<>("source_file", ArrowType.UTF8, true, IndexRow::sourceFile),
          new ArrowColumn<>("source_tensor", ArrowType.UTF8, true, IndexRow::sourceTensor),
          new ArrowColumn<>(
              "view",
              ArrowType.INT64_LIST,
              true,
              r -> r.view() == null ? null : r.view().numbers()),
          new ArrowColumn<>("transform", ArrowType.UTF8, true, IndexRow::transform));

  // Places of the columns in the list above.
  private static final int KIND = 0;
  private static final int NAME = 1;
  private static final int ROLE = 2;
  private static final int LAYER = 3;
  private static final int EXPERT = 4;
  private static final int PROJECTION = 5;
  private static final int DTYPE = 6;
  private static final int ENCODING = 7;
  private static final int SHAPE = 8;
  private static final int SHARD = 9;
  private static final int OFFSET = 10;
  private static final int BYTES = 11;
  private static final int CRC32C = 12;
  private static final int SHA256 = 13;
  private static final int SOURCE_FILE = 14;
  private static final int SOURCE_TENSOR = 15;
  private static final int VIEW = 16;
  private static final int TRANSFORM = 17;

  private ArrowIndex() {}

  static byte[] encode(List<IndexRow> rows) {
    var bytes = new ByteArrayOutputStream();
    try {
      var writer = new ArrowFileWriter<>(COLUMNS, bytes);
      writer.writeBatch(rows);
      writer.finish();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }

  /**
   * Decodes the file's bytes.
   *
   * @param version of the package: a later minor one may have more columns and other values
   * @throws CorruptException if they are no Arrow IPC file with exactly these columns, or a value
   *     is not of its column's vocabulary
   * @throws TooNewException if such a value may be one of the later version
   */
  static List<IndexRow> decode(String where, Manifest.Version version, byte[] file) {
    @Nullable Object[][] values;
    try {
      values = ArrowFileReader.read(where, COLUMNS, version.isLater(), file);
    } catch (IndexOutOfBoundsException | IllegalArgumentException | ArithmeticException e) {
      // Flatbuffers checks bounds by letting the buffer throw.
      throw corrupt(where, "an Arrow IPC file", "offsets that lead out of it");
    }
    var cells = new Cells(where, version, values);
    int count = values[0].length;
    List<IndexRow> rows = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      cells.row = i;
      rows.add(row(cells));
    }
    return rows;
  }

  private static IndexRow row(Cells cells) {
    return new IndexRow(
        cells.word(KIND, IndexRow.Kind::of),
        cells.get(NAME, String.class),
        cells.word(ROLE, Role::of),
        cells.find(LAYER, Integer.class),
        cells.find(EXPERT, Integer.class),
        cells.find(PROJECTION, String.class) == null
            ? null
            : cells.word(PROJECTION, Projection::of),
        cells.word(DTYPE, Dtype::named),
        cells.word(ENCODING, Encoding::of),
        cells.shape(),
        cells.get(SHARD, String.class),
        cells.get(OFFSET, Long.class),
        cells.get(BYTES, Long.class),
        cells.find(CRC32C, Long.class),
        cells.find(SHA256, String.class),
        cells.find(SOURCE_FILE, String.class),
        cells.find(SOURCE_TENSOR, String.class),
        cells.view(),
        cells.find(TRANSFORM, String.class));
  }

  static CorruptException corrupt(String where, String expected, String found) {
    return new CorruptException(
        where, expected, found, "the index is damaged, restore it or convert again");
  }

  /** Decoded columns, read row by row. */
  private static final class Cells {
    private final String where;
    private final Manifest.Version version;
    private final @Nullable Object[][] values;
    private final @Nullable String[] words = new String[COLUMNS.size()];
    private final @Nullable Object[] meanings = new Object[COLUMNS.size()];
    private int row;
    private long[] dims = {};
    private Shape shape = Shape.of();

    Cells(String where, Manifest.Version version, @Nullable Object[][] values) {
      this.where = where;
      this.version = version;
      this.values = values;
    }

    <T> @Nullable T find(int column, Class<T> type) {
      return type.cast(values[column][row]);
    }

    <T> T get(int column, Class<T> type) {
      T value = find(column, type);
      if (value == null) {
        throw broken("a value in column " + COLUMNS.get(column).name(), "null");
      }
      return value;
    }

    /** A value of a small vocabulary; neighbours mostly have the same. */
    @SuppressWarnings({"unchecked", "ReferenceEquality"}) // Equal neighbours are one string.
    <T> T word(int column, Function<String, Optional<T>> vocabulary) {
      String word = get(column, String.class);
      if (word != words[column]) {
        meanings[column] =
            vocabulary
                .apply(word)
                .orElseThrow(
                    () ->
                        version.unknown(
                            where + ", row " + row,
                            "a " + COLUMNS.get(column).name() + " of the format",
                            "\"" + word + "\""));
        words[column] = word;
      }
      return (T) Objects.requireNonNull(meanings[column]);
    }

    /** Neighbours of the same extents share a shape. */
    Shape shape() {
      long[] found = get(SHAPE, long[].class);
      if (!Arrays.equals(found, dims)) {
        for (long dim : found) {
          if (dim < 0) {
            throw broken("extents from 0", String.valueOf(dim));
          }
        }
        dims = found;
        shape = Shape.of(found);
      }
      return shape;
    }

    @Nullable View view() {
      long[] numbers = find(VIEW, long[].class);
      if (numbers == null) {
        return null;
      }
      if (numbers.length % 2 == 0) {
        throw broken("an offset, extents and as many strides", numbers.length + " numbers");
      }
      int strides = numbers.length / 2 + 1;
      try {
        return new View(
            numbers[0],
            Shape.of(Arrays.copyOfRange(numbers, 1, strides)),
            Arrays.stream(numbers, strides, numbers.length).boxed().toList());
      } catch (IllegalArgumentException e) {
        throw broken("a view in its simplest form", String.valueOf(e.getMessage()));
      }
    }

    private CorruptException broken(String expected, String found) {
      return corrupt(where + ", row " + row, expected, found);
    }
  }
}

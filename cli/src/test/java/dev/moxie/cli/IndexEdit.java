package dev.moxie.cli;

import dev.moxie.format.pack.ArrowColumn;
import dev.moxie.format.pack.ArrowFileWriter;
import dev.moxie.format.pack.ArrowType;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Writes the index of a package again, with values that no writer puts there. */
final class IndexEdit {
  private static final String INDEX = "tensors.arrow";

  private IndexEdit() {}

  /** Edits cells, by the names of columns; null is no value. */
  static void cells(Path pack, Consumer<List<Map<String, @Nullable Object>>> edit)
      throws IOException {
    cells(pack, edit, List.of());
  }

  static void cells(
      Path pack,
      Consumer<List<Map<String, @Nullable Object>>> edit,
      List<ArrowColumn<Map<String, @Nullable Object>>> more)
      throws IOException {
    List<Map<String, @Nullable Object>> rows = rows(pack);
    edit.accept(rows);
    List<ArrowColumn<Map<String, @Nullable Object>>> columns = new ArrayList<>(columns());
    columns.addAll(more);
    var out = new ByteArrayOutputStream();
    var writer = new ArrowFileWriter<>(columns, out);
    writer.writeBatch(rows);
    writer.finish();
    Files.write(pack.resolve(INDEX), Sealing.index(pack, out.toByteArray()));
  }

  /** Edits cells of the first row of some kind. */
  static void first(
      Path pack,
      Predicate<Map<String, @Nullable Object>> which,
      Consumer<Map<String, @Nullable Object>> edit)
      throws IOException {
    cells(pack, rows -> edit.accept(rows.stream().filter(which).findFirst().orElseThrow()));
  }

  /** Puts a number at a place of the flatbuffers: the fields lead there from the footer. */
  static void footer(Path pack, int field, short value) throws IOException {
    byte[] bytes = Files.readAllBytes(pack.resolve(INDEX));
    ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int end = bytes.length - 10;
    int start = end - file.getInt(end);
    int table = start + file.getInt(start);
    int vtable = table - file.getInt(table);
    file.putShort(table + file.getShort(vtable + 4 + 2 * field), value);
    Files.write(pack.resolve(INDEX), Sealing.index(pack, bytes));
  }

  /** Lets a column claim so many nulls. */
  static void nulls(Path pack, int column, long count) throws IOException {
    byte[] bytes = Files.readAllBytes(pack.resolve(INDEX));
    ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int end = bytes.length - 10;
    int start = end - file.getInt(end);
    int blocks = follow(file, start + file.getInt(start), 3);
    int message = (int) file.getLong(blocks + 4) + 8;
    int batch = follow(file, message + file.getInt(message), 2);
    int nodes = follow(file, batch, 1);
    file.putLong(nodes + 4 + 16 * column + 8, count);
    Files.write(pack.resolve(INDEX), Sealing.index(pack, bytes));
  }

  private static int follow(ByteBuffer file, int table, int field) {
    int vtable = table - file.getInt(table);
    int at = table + file.getShort(vtable + 4 + 2 * field);
    return at + file.getInt(at);
  }

  private static List<Map<String, @Nullable Object>> rows(Path pack) {
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      List<Map<String, @Nullable Object>> rows = new ArrayList<>();
      for (IndexRow row : opened.rows()) {
        Map<String, @Nullable Object> cells = new LinkedHashMap<>();
        cells.put("kind", row.kind().id());
        cells.put("name", row.name());
        cells.put("role", row.role().id());
        cells.put("layer", row.layer());
        cells.put("expert", row.expert());
        cells.put("projection", row.projection() == null ? null : row.projection().id());
        cells.put("dtype", row.dtype().name());
        cells.put("encoding", row.encoding().id());
        cells.put("shape", row.shape().dims());
        cells.put("shard", row.shard());
        cells.put("offset", row.offset());
        cells.put("bytes", row.bytes());
        cells.put("crc32c", row.crc32c());
        cells.put("sha256", row.sha256());
        cells.put("source_file", row.sourceFile());
        cells.put("source_tensor", row.sourceTensor());
        cells.put("view", row.view() == null ? null : row.view().numbers());
        cells.put("transform", row.transform());
        rows.add(cells);
      }
      return rows;
    }
  }

  private static List<ArrowColumn<Map<String, @Nullable Object>>> columns() {
    return List.of(
        column("kind", ArrowType.UTF8, false),
        column("name", ArrowType.UTF8, false),
        column("role", ArrowType.UTF8, false),
        column("layer", ArrowType.INT32, true),
        column("expert", ArrowType.INT32, true),
        column("projection", ArrowType.UTF8, true),
        column("dtype", ArrowType.UTF8, false),
        column("encoding", ArrowType.UTF8, false),
        column("shape", ArrowType.INT64_LIST, false),
        column("shard", ArrowType.UTF8, false),
        column("offset", ArrowType.INT64, false),
        column("bytes", ArrowType.INT64, false),
        column("crc32c", ArrowType.UINT32, true),
        column("sha256", ArrowType.DIGEST, true),
        column("source_file", ArrowType.UTF8, true),
        column("source_tensor", ArrowType.UTF8, true),
        column("view", ArrowType.INT64_LIST, true),
        column("transform", ArrowType.UTF8, true));
  }

  static ArrowColumn<Map<String, @Nullable Object>> column(
      String name, ArrowType type, boolean nullable) {
    return new ArrowColumn<>(name, type, nullable, cells -> cells.get(name));
  }
}

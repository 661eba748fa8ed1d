package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.util.ByteArrayReadableSeekableByteChannel;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class ArrowFileWriterTest {
  /** A row with every kind of column that the index does not have. */
  private record Row(
      int number, int[] ints, float[] floats, @Nullable Double real, int @Nullable [] maybe) {}

  private static final List<ArrowColumn<Row>> COLUMNS =
      List.of(
          new ArrowColumn<>("number", ArrowType.INT32, false, Row::number),
          new ArrowColumn<>("ints", ArrowType.INT32_LIST, false, Row::ints),
          new ArrowColumn<>("floats", ArrowType.FLOAT32_LIST, false, Row::floats),
          new ArrowColumn<>("real", ArrowType.FLOAT64, true, Row::real),
          new ArrowColumn<>("maybe", ArrowType.INT32_LIST, true, Row::maybe));

  @Test
  void apacheArrowReadsEveryBatch() throws Exception {
    List<Row> rows = rows(50);
    byte[] file = write(rows, 20, 29, 1);
    List<Object> numbers = new ArrayList<>();
    List<Object> ints = new ArrayList<>();
    List<Object> floats = new ArrayList<>();
    List<Object> reals = new ArrayList<>();
    List<Object> maybes = new ArrayList<>();
    try (var allocator = new RootAllocator();
        var reader =
            new ArrowFileReader(new ByteArrayReadableSeekableByteChannel(file), allocator)) {
      assertEquals(3, reader.getRecordBlocks().size());
      var table = reader.getVectorSchemaRoot();
      assertFalse(table.getVector("number").getField().isNullable());
      assertTrue(table.getVector("real").getField().isNullable());
      while (reader.loadNextBatch()) {
        for (int i = 0; i < table.getRowCount(); i++) {
          numbers.add(table.getVector("number").getObject(i));
          ints.add(table.getVector("ints").getObject(i));
          floats.add(table.getVector("floats").getObject(i));
          reals.add(table.getVector("real").getObject(i));
          maybes.add(table.getVector("maybe").getObject(i));
        }
      }
    }
    assertEquals(rows.stream().map(Row::number).toList(), numbers);
    assertEquals(rows.stream().map(row -> list(row.ints())).toList(), ints);
    assertEquals(
        rows.stream().map(row -> Arrays.toString(row.floats())).toList(),
        floats.stream().map(list -> List.copyOf((List<?>) list).toString()).toList());
    assertEquals(rows.stream().map(Row::real).toList(), reals);
    assertEquals(
        rows.stream().map(row -> row.maybe() == null ? null : list(row.maybe())).toList(), maybes);
  }

  @Test
  void everyFileWithTheseColumnsBeginsAlike() throws IOException {
    byte[] start = ArrowFileWriter.start(COLUMNS);
    byte[] file = write(rows(3), 3);
    assertArrayEquals(start, Arrays.copyOf(file, start.length));
    assertArrayEquals(file, write(rows(3), 3));
  }

  private static byte[] write(List<Row> rows, int... batches) throws IOException {
    var bytes = new ByteArrayOutputStream();
    var writer = new ArrowFileWriter<>(COLUMNS, bytes);
    int from = 0;
    for (int batch : batches) {
      writer.writeBatch(rows.subList(from, from + batch));
      from += batch;
    }
    writer.finish();
    return bytes.toByteArray();
  }

  private static List<Row> rows(int count) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      rows.add(
          new Row(
              i - 7,
              new int[] {i, -i, Integer.MAX_VALUE},
              i % 4 == 0 ? new float[0] : new float[] {0.1f * i, -0f},
              i % 3 == 0 ? null : 1.0 / i,
              i % 5 == 0 ? null : new int[i % 3]));
    }
    return rows;
  }

  private static List<Integer> list(int[] values) {
    return Arrays.stream(values).boxed().toList();
  }
}

package dev.moxie.verifier.routing;

import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.ipc.SeekableReadChannel;
import org.apache.arrow.vector.util.Text;
import org.jspecify.annotations.Nullable;

/** Reads {@code routing.arrow} with Apache Arrow's own reader. */
public final class RoutingTable {
  private RoutingTable() {}

  /** One map per row. */
  public static List<Map<String, @Nullable Object>> read(Path file) throws Exception {
    return read(file, new ArrayList<>());
  }

  /** One map per row; the rows of each batch are added to {@code batches}. */
  static List<Map<String, @Nullable Object>> read(Path file, List<Integer> batches)
      throws Exception {
    List<Map<String, @Nullable Object>> rows = new ArrayList<>();
    try (var channel = FileChannel.open(file);
        var allocator = new RootAllocator();
        var reader = new ArrowFileReader(new SeekableReadChannel(channel), allocator)) {
      var table = reader.getVectorSchemaRoot();
      while (reader.loadNextBatch()) {
        batches.add(table.getRowCount());
        for (int i = 0; i < table.getRowCount(); i++) {
          Map<String, @Nullable Object> row = new LinkedHashMap<>();
          for (FieldVector vector : table.getFieldVectors()) {
            row.put(
                vector.getName(),
                switch (vector.getObject(i)) {
                  case List<?> list -> List.copyOf(list);
                  case Text text -> text.toString();
                  case null -> null;
                  case Object value -> value;
                });
          }
          rows.add(row);
        }
      }
    }
    return rows;
  }
}

package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.view.View;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.FixedSizeBinaryVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.util.ByteArrayReadableSeekableByteChannel;
import org.junit.jupiter.api.Test;

class ArrowIndexTest {
  private static final List<IndexRow> ROWS = rows(20);
  private static final byte[] FILE = ArrowIndex.encode(ROWS);

  @Test
  void rowsComeBackAsTheyWere() {
    assertEquals(ROWS, ArrowIndex.decode("index", Manifest.CURRENT, FILE));
    assertEquals(
        List.of(), ArrowIndex.decode("index", Manifest.CURRENT, ArrowIndex.encode(List.of())));
  }

  @Test
  void apacheArrowReadsTheSameTable() throws Exception {
    try (var allocator = new RootAllocator();
        var reader =
            new ArrowFileReader(new ByteArrayReadableSeekableByteChannel(FILE), allocator)) {
      assertTrue(reader.loadNextBatch());
      var table = reader.getVectorSchemaRoot();
      assertEquals(ROWS.size(), table.getRowCount());
      for (int i = 0; i < ROWS.size(); i++) {
        IndexRow row = ROWS.get(i);
        assertEquals(row.name(), text(table.getVector("name"), i));
        assertEquals(row.sourceTensor(), text(table.getVector("source_tensor"), i));
        assertEquals(row.expert(), table.getVector("expert").getObject(i));
        assertEquals(row.offset(), ((BigIntVector) table.getVector("offset")).get(i));
        assertEquals(row.shape().dims(), ((ListVector) table.getVector("shape")).getObject(i));
        if (row.sha256() != null) {
          assertArrayEquals(
              HexFormat.of().parseHex(row.sha256()),
              ((FixedSizeBinaryVector) table.getVector("sha256")).get(i));
        } else {
          assertTrue(table.getVector("sha256").isNull(i));
        }
      }
    }
  }

  @Test
  void aTruncatedFileIsRefusedWhereverItEnds() {
    for (int length = 0; length < FILE.length; length++) {
      byte[] cut = java.util.Arrays.copyOf(FILE, length);
      assertThrows(CorruptException.class, () -> ArrowIndex.decode("index", Manifest.CURRENT, cut));
    }
  }

  @Property(tries = 5000)
  void aFlippedBitIsReadOrRefusedButNeverCrashes(
      @ForAll @IntRange(max = 1 << 24) int position, @ForAll @IntRange(max = 7) int bit) {
    byte[] flipped = FILE.clone();
    flipped[position % FILE.length] ^= (byte) (1 << bit);
    try {
      ArrowIndex.decode("index", Manifest.CURRENT, flipped);
    } catch (CorruptException expected) {
      assertTrue(expected.getMessage().startsWith("index"));
    }
  }

  private static String text(FieldVector vector, int i) {
    Object value = vector.getObject(i);
    return value == null ? null : value.toString();
  }

  private static List<IndexRow> rows(int count) {
    List<IndexRow> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      boolean leaf = i % 3 != 0;
      rows.add(
          new IndexRow(
              leaf ? IndexRow.Kind.SLICE : IndexRow.Kind.STACK,
              "tensor-" + i + "-é",
              Role.EXPERT_DOWN,
              i % 2 == 0 ? i : null,
              leaf ? i : null,
              leaf ? Projection.DOWN : null,
              Dtype.BF16,
              Encoding.PLAIN,
              Shape.of(new long[i % 4]),
              "shard",
              1L << (i + 20),
              i,
              leaf ? 0xffff_fff0L + i % 16 : null,
              leaf ? Digests.sha256(new byte[i]) : null,
              leaf ? "file" : null,
              leaf ? "source-" + i : null,
              i % 5 == 2 ? View.of(i, List.of(i + 2L, 3L), List.of(1L, i + 2L)) : null,
              leaf ? IndexRow.COPY : null));
    }
    return rows;
  }
}

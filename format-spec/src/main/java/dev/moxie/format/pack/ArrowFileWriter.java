package dev.moxie.format.pack;

import com.google.flatbuffers.FlatBufferBuilder;
import dev.moxie.format.pack.ArrowIndex.ArrowType;
import dev.moxie.format.pack.ArrowIndex.Column;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.FieldNode;
import org.apache.arrow.flatbuf.FixedSizeBinary;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.Int;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.MetadataVersion;
import org.apache.arrow.flatbuf.RecordBatch;
import org.apache.arrow.flatbuf.Schema;
import org.apache.arrow.flatbuf.Type;
import org.apache.arrow.flatbuf.Utf8;
import org.jspecify.annotations.Nullable;

/**
 * Writes one table as an Arrow IPC file (the "random access" format of the Arrow columnar
 * specification, metadata version 5): one record batch, no dictionaries, no compression. Equal rows
 * give equal bytes.
 *
 * <p>Built on the generated flatbuffers of arrow-format: arrow-vector would need the JVM opened and
 * Unsafe memory for the same bytes; the tests read the result back with it.
 */
final class ArrowFileWriter {
  static final byte[] MAGIC = "ARROW1".getBytes(StandardCharsets.US_ASCII);
  static final int ALIGNMENT = 64;
  static final int DIGEST_BYTES = 32;
  static final int CONTINUATION = -1;

  private final List<byte[]> buffers = new ArrayList<>();
  private final List<long[]> nodes = new ArrayList<>();

  private ArrowFileWriter() {}

  static byte[] write(List<Column> columns, List<IndexRow> rows) {
    var table = new ArrowFileWriter();
    for (Column column : columns) {
      table.addColumn(column, rows);
    }
    var out = new ByteArrayOutputStream();
    out.writeBytes(MAGIC);
    out.writeBytes(new byte[2]);
    writeMessage(out, schemaMessage(columns));
    int batchAt = out.size();
    int metadataLength = writeMessage(out, table.batchMessage(rows.size()));
    table.buffers.forEach(buffer -> out.writeBytes(padded(buffer)));
    out.writeBytes(ints(CONTINUATION, 0));
    byte[] footer = footer(columns, batchAt, metadataLength, table.bodyLength());
    out.writeBytes(footer);
    out.writeBytes(ints(footer.length));
    out.writeBytes(MAGIC);
    return out.toByteArray();
  }

  private void addColumn(Column column, List<IndexRow> rows) {
    List<@Nullable Object> values = new ArrayList<>();
    rows.forEach(row -> values.add(column.value().apply(row)));
    addValidity(values);
    switch (column.type()) {
      case UTF8 -> {
        var data = new ByteArrayOutputStream();
        ByteBuffer offsets = littleEndian(4 * (values.size() + 1)).putInt(0);
        for (Object value : values) {
          if (value != null) {
            data.writeBytes(((String) value).getBytes(StandardCharsets.UTF_8));
          }
          offsets.putInt(data.size());
        }
        buffers.add(offsets.array());
        buffers.add(data.toByteArray());
      }
      case INT32, UINT32 -> {
        ByteBuffer data = littleEndian(4 * values.size());
        values.forEach(v -> data.putInt(v == null ? 0 : ((Number) v).intValue()));
        buffers.add(data.array());
      }
      case INT64 -> {
        ByteBuffer data = littleEndian(8 * values.size());
        values.forEach(v -> data.putLong(v == null ? 0 : (Long) v));
        buffers.add(data.array());
      }
      case DIGEST -> {
        ByteBuffer data = littleEndian(DIGEST_BYTES * values.size());
        values.forEach(v -> data.put(v == null ? new byte[DIGEST_BYTES] : (byte[]) v));
        buffers.add(data.array());
      }
      case INT64_LIST -> {
        List<@Nullable Object> items = new ArrayList<>();
        ByteBuffer offsets = littleEndian(4 * (values.size() + 1)).putInt(0);
        for (Object value : values) {
          items.addAll((List<?>) java.util.Objects.requireNonNull(value));
          offsets.putInt(items.size());
        }
        buffers.add(offsets.array());
        addValidity(items);
        ByteBuffer data = littleEndian(8 * items.size());
        items.forEach(v -> data.putLong(v == null ? 0 : (Long) v));
        buffers.add(data.array());
      }
    }
  }

  /** Opens a node: its length, its count of nulls, and a bitmap of what is not null. */
  private void addValidity(List<@Nullable Object> values) {
    long nulls = values.stream().filter(java.util.Objects::isNull).count();
    nodes.add(new long[] {values.size(), nulls});
    byte[] bitmap = new byte[nulls == 0 ? 0 : Math.ceilDiv(values.size(), 8)];
    for (int i = 0; i < values.size() && nulls > 0; i++) {
      if (values.get(i) != null) {
        bitmap[i / 8] |= (byte) (1 << (i % 8));
      }
    }
    buffers.add(bitmap);
  }

  private long bodyLength() {
    return buffers.stream().mapToLong(buffer -> padded(buffer.length)).sum();
  }

  private static byte[] schemaMessage(List<Column> columns) {
    var builder = new FlatBufferBuilder();
    int schema = schema(builder, columns);
    builder.finish(
        Message.createMessage(builder, MetadataVersion.V5, MessageHeader.Schema, schema, 0, 0));
    return builder.sizedByteArray();
  }

  private byte[] batchMessage(int rows) {
    var builder = new FlatBufferBuilder();
    RecordBatch.startNodesVector(builder, nodes.size());
    for (long[] node : nodes.reversed()) {
      FieldNode.createFieldNode(builder, node[0], node[1]);
    }
    int nodesVector = builder.endVector();
    RecordBatch.startBuffersVector(builder, buffers.size());
    long end = bodyLength();
    for (byte[] buffer : buffers.reversed()) {
      end -= padded(buffer.length);
      Buffer.createBuffer(builder, end, buffer.length);
    }
    int buffersVector = builder.endVector();
    RecordBatch.startRecordBatch(builder);
    RecordBatch.addLength(builder, rows);
    RecordBatch.addNodes(builder, nodesVector);
    RecordBatch.addBuffers(builder, buffersVector);
    int batch = RecordBatch.endRecordBatch(builder);
    builder.finish(
        Message.createMessage(
            builder, MetadataVersion.V5, MessageHeader.RecordBatch, batch, bodyLength(), 0));
    return builder.sizedByteArray();
  }

  private static byte[] footer(
      List<Column> columns, int batchAt, int metadataLength, long bodyLength) {
    var builder = new FlatBufferBuilder();
    int schema = schema(builder, columns);
    Footer.startRecordBatchesVector(builder, 1);
    Block.createBlock(builder, batchAt, metadataLength, bodyLength);
    int batches = builder.endVector();
    Footer.startDictionariesVector(builder, 0);
    int dictionaries = builder.endVector();
    builder.finish(
        Footer.createFooter(builder, MetadataVersion.V5, schema, dictionaries, batches, 0));
    return builder.sizedByteArray();
  }

  private static int schema(FlatBufferBuilder builder, List<Column> columns) {
    int[] fields =
        columns.stream().mapToInt(c -> field(builder, c.name(), c.nullable(), c.type())).toArray();
    return Schema.createSchema(
        builder, Endianness.Little, Schema.createFieldsVector(builder, fields), 0, 0);
  }

  private static int field(
      FlatBufferBuilder builder, String name, boolean nullable, ArrowType type) {
    int[] children =
        type == ArrowType.INT64_LIST
            ? new int[] {field(builder, "item", false, ArrowType.INT64)}
            : new int[0];
    int childrenVector = Field.createChildrenVector(builder, children);
    int nameOffset = builder.createString(name);
    int typeOffset =
        switch (type) {
          case UTF8 -> {
            Utf8.startUtf8(builder);
            yield Utf8.endUtf8(builder);
          }
          case INT32 -> Int.createInt(builder, 32, true);
          case UINT32 -> Int.createInt(builder, 32, false);
          case INT64 -> Int.createInt(builder, 64, true);
          case DIGEST -> FixedSizeBinary.createFixedSizeBinary(builder, DIGEST_BYTES);
          case INT64_LIST -> {
            org.apache.arrow.flatbuf.List.startList(builder);
            yield org.apache.arrow.flatbuf.List.endList(builder);
          }
        };
    return Field.createField(
        builder, nameOffset, nullable, typeCode(type), typeOffset, 0, childrenVector, 0);
  }

  static byte typeCode(ArrowType type) {
    return switch (type) {
      case UTF8 -> Type.Utf8;
      case INT32, UINT32, INT64 -> Type.Int;
      case DIGEST -> Type.FixedSizeBinary;
      case INT64_LIST -> Type.List;
    };
  }

  /** Returns the bytes from the continuation marker to the end of the padded metadata. */
  private static int writeMessage(ByteArrayOutputStream out, byte[] metadata) {
    int length = Math.ceilDiv(8 + metadata.length, ALIGNMENT) * ALIGNMENT;
    int start = Math.ceilDiv(out.size(), 8) * 8;
    out.writeBytes(new byte[start - out.size()]);
    out.writeBytes(ints(CONTINUATION, length - 8));
    out.writeBytes(metadata);
    out.writeBytes(new byte[length - 8 - metadata.length]);
    return length;
  }

  private static long padded(int length) {
    return Math.ceilDiv((long) length, ALIGNMENT) * ALIGNMENT;
  }

  private static byte[] padded(byte[] buffer) {
    return java.util.Arrays.copyOf(buffer, Math.toIntExact(padded(buffer.length)));
  }

  private static byte[] ints(int... values) {
    ByteBuffer bytes = littleEndian(4 * values.length);
    for (int value : values) {
      bytes.putInt(value);
    }
    return bytes.array();
  }

  private static ByteBuffer littleEndian(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }
}

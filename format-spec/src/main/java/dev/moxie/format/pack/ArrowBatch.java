package dev.moxie.format.pack;

import com.google.flatbuffers.FlatBufferBuilder;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.FieldNode;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.MetadataVersion;
import org.apache.arrow.flatbuf.RecordBatch;
import org.jspecify.annotations.Nullable;

/** Rows as the nodes and buffers of one Arrow record batch. */
final class ArrowBatch {
  private final int rows;
  private final List<byte[]> buffers = new ArrayList<>();
  private final List<long[]> nodes = new ArrayList<>();

  private ArrowBatch(int rows) {
    this.rows = rows;
  }

  static <R> ArrowBatch of(List<ArrowColumn<R>> columns, List<R> rows) {
    var batch = new ArrowBatch(rows.size());
    for (ArrowColumn<R> column : columns) {
      List<@Nullable Object> values = new ArrayList<>(rows.size());
      rows.forEach(row -> values.add(column.value().apply(row)));
      batch.addColumn(column.type(), values);
    }
    return batch;
  }

  private void addColumn(ArrowType type, List<@Nullable Object> values) {
    addValidity(values);
    switch (type) {
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
      case FLOAT64 -> {
        ByteBuffer data = littleEndian(8 * values.size());
        values.forEach(v -> data.putDouble(v == null ? 0 : (Double) v));
        buffers.add(data.array());
      }
      case DIGEST -> {
        ByteBuffer data = littleEndian(ArrowFileWriter.DIGEST_BYTES * values.size());
        values.forEach(
            v ->
                data.put(
                    v == null
                        ? new byte[ArrowFileWriter.DIGEST_BYTES]
                        : HexFormat.of().parseHex((String) v)));
        buffers.add(data.array());
      }
      case INT32_LIST -> addLists(values, v -> ((int[]) v).length, 4, ArrowBatch::putInts);
      case INT64_LIST -> addLists(values, v -> ((List<?>) v).size(), 8, ArrowBatch::putLongs);
      case FLOAT32_LIST -> addLists(values, v -> ((float[]) v).length, 4, ArrowBatch::putFloats);
    }
  }

  /** How many items a list has. */
  private interface Size {
    int of(Object list);
  }

  /** Puts all items of a list into a buffer. */
  private interface Items {
    void put(ByteBuffer data, Object list);
  }

  private void addLists(List<@Nullable Object> values, Size size, int width, Items items) {
    ByteBuffer offsets = littleEndian(4 * (values.size() + 1)).putInt(0);
    int count = 0;
    for (Object value : values) {
      count = Math.addExact(count, value == null ? 0 : size.of(value));
      offsets.putInt(count);
    }
    buffers.add(offsets.array());
    addNode(count, 0);
    buffers.add(new byte[0]);
    ByteBuffer data = littleEndian(Math.multiplyExact(width, count));
    values.stream().filter(Objects::nonNull).forEach(value -> items.put(data, value));
    buffers.add(data.array());
  }

  private static void putInts(ByteBuffer data, Object list) {
    for (int item : (int[]) list) {
      data.putInt(item);
    }
  }

  private static void putLongs(ByteBuffer data, Object list) {
    for (Object item : (List<?>) list) {
      data.putLong((Long) item);
    }
  }

  private static void putFloats(ByteBuffer data, Object list) {
    for (float item : (float[]) list) {
      data.putFloat(item);
    }
  }

  /** Opens a node: its length, its count of nulls, and a bitmap of what is not null. */
  private void addValidity(List<@Nullable Object> values) {
    long nulls = values.stream().filter(Objects::isNull).count();
    addNode(values.size(), nulls);
    byte[] bitmap = new byte[nulls == 0 ? 0 : Math.ceilDiv(values.size(), 8)];
    for (int i = 0; i < values.size() && nulls > 0; i++) {
      if (values.get(i) != null) {
        bitmap[i / 8] |= (byte) (1 << (i % 8));
      }
    }
    buffers.add(bitmap);
  }

  private void addNode(long length, long nulls) {
    nodes.add(new long[] {length, nulls});
  }

  /** The body, each buffer to be padded. */
  List<byte[]> buffers() {
    return buffers;
  }

  /** Bytes of the body, with the padding. */
  long bodyLength() {
    return buffers.stream().mapToLong(buffer -> padded(buffer.length)).sum();
  }

  /** The flatbuffer that describes the body. */
  byte[] message() {
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

  static long padded(int length) {
    return Math.ceilDiv((long) length, ArrowFileWriter.ALIGNMENT) * ArrowFileWriter.ALIGNMENT;
  }

  static ByteBuffer littleEndian(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }
}

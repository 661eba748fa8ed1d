package dev.moxie.format.pack;

import com.google.flatbuffers.FlatBufferBuilder;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.FixedSizeBinary;
import org.apache.arrow.flatbuf.FloatingPoint;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.Int;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.MetadataVersion;
import org.apache.arrow.flatbuf.Precision;
import org.apache.arrow.flatbuf.Schema;
import org.apache.arrow.flatbuf.Type;
import org.apache.arrow.flatbuf.Utf8;

/**
 * Writes one table as an Arrow IPC file (the "random access" format of the Arrow columnar
 * specification, metadata version 5): record batches, no dictionaries, no compression. Equal rows
 * in equal batches give equal bytes.
 *
 * <p>Built on the generated flatbuffers of arrow-format: arrow-vector would need the JVM opened and
 * Unsafe memory for the same bytes; the tests read the result back with it.
 *
 * @param <R> the table's rows
 */
public final class ArrowFileWriter<R> {
  static final byte[] MAGIC = "ARROW1".getBytes(StandardCharsets.US_ASCII);
  static final int ALIGNMENT = 64;
  static final int DIGEST_BYTES = 32;
  static final int CONTINUATION = -1;

  private final List<ArrowColumn<R>> columns;
  private final OutputStream out;
  private final List<Place> batches = new ArrayList<>();
  private long position;

  /** Where a record batch lies in the file. */
  private record Place(long offset, int metadataLength, long bodyLength) {}

  /** Begins a file; the stream stays the caller's. */
  public ArrowFileWriter(List<ArrowColumn<R>> columns, OutputStream out) throws IOException {
    this.columns = List.copyOf(columns);
    this.out = out;
    write(start(columns));
  }

  /** The bytes that every file with these columns begins with. */
  public static <R> byte[] start(List<ArrowColumn<R>> columns) {
    byte[] schema = message(schemaMessage(columns));
    ByteBuffer start = ArrowBatch.littleEndian(MAGIC.length + 2 + schema.length);
    return start.put(MAGIC).putShort((short) 0).put(schema).array();
  }

  /** Appends rows as a record batch of their own. */
  public void writeBatch(List<R> rows) throws IOException {
    ArrowBatch batch = ArrowBatch.of(columns, rows);
    byte[] metadata = message(batch.message());
    batches.add(new Place(position, metadata.length, batch.bodyLength()));
    write(metadata);
    for (byte[] buffer : batch.buffers()) {
      write(Arrays.copyOf(buffer, Math.toIntExact(ArrowBatch.padded(buffer.length))));
    }
  }

  /** Ends the file. */
  public void finish() throws IOException {
    byte[] footer = footer();
    write(ints(CONTINUATION, 0));
    write(footer);
    write(ints(footer.length));
    write(MAGIC);
  }

  private void write(byte[] bytes) throws IOException {
    out.write(bytes);
    position += bytes.length;
  }

  private static <R> byte[] schemaMessage(List<ArrowColumn<R>> columns) {
    var builder = new FlatBufferBuilder();
    int schema = schema(builder, columns);
    builder.finish(
        Message.createMessage(builder, MetadataVersion.V5, MessageHeader.Schema, schema, 0, 0));
    return builder.sizedByteArray();
  }

  private byte[] footer() {
    var builder = new FlatBufferBuilder();
    int schema = schema(builder, columns);
    Footer.startRecordBatchesVector(builder, batches.size());
    for (Place batch : batches.reversed()) {
      Block.createBlock(builder, batch.offset(), batch.metadataLength(), batch.bodyLength());
    }
    int blocks = builder.endVector();
    Footer.startDictionariesVector(builder, 0);
    int dictionaries = builder.endVector();
    builder.finish(
        Footer.createFooter(builder, MetadataVersion.V5, schema, dictionaries, blocks, 0));
    return builder.sizedByteArray();
  }

  private static <R> int schema(FlatBufferBuilder builder, List<ArrowColumn<R>> columns) {
    int[] fields =
        columns.stream().mapToInt(c -> field(builder, c.name(), c.nullable(), c.type())).toArray();
    return Schema.createSchema(
        builder, Endianness.Little, Schema.createFieldsVector(builder, fields), 0, 0);
  }

  private static int field(
      FlatBufferBuilder builder, String name, boolean nullable, ArrowType type) {
    int[] children =
        switch (type) {
          case INT32_LIST -> new int[] {field(builder, "item", false, ArrowType.INT32)};
          case INT64_LIST -> new int[] {field(builder, "item", false, ArrowType.INT64)};
          case FLOAT32_LIST -> {
            int floats = FloatingPoint.createFloatingPoint(builder, Precision.SINGLE);
            yield new int[] {field(builder, "item", false, Type.FloatingPoint, floats)};
          }
          case UTF8, INT32, UINT32, INT64, FLOAT64, DIGEST -> new int[0];
        };
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
          case FLOAT64 -> FloatingPoint.createFloatingPoint(builder, Precision.DOUBLE);
          case DIGEST -> FixedSizeBinary.createFixedSizeBinary(builder, DIGEST_BYTES);
          case INT32_LIST, INT64_LIST, FLOAT32_LIST -> {
            org.apache.arrow.flatbuf.List.startList(builder);
            yield org.apache.arrow.flatbuf.List.endList(builder);
          }
        };
    return Field.createField(
        builder, nameOffset, nullable, typeCode(type), typeOffset, 0, childrenVector, 0);
  }

  /** A field without children of its own. */
  private static int field(
      FlatBufferBuilder builder, String name, boolean nullable, byte typeCode, int typeOffset) {
    int childrenVector = Field.createChildrenVector(builder, new int[0]);
    int nameOffset = builder.createString(name);
    return Field.createField(
        builder, nameOffset, nullable, typeCode, typeOffset, 0, childrenVector, 0);
  }

  static byte typeCode(ArrowType type) {
    return switch (type) {
      case UTF8 -> Type.Utf8;
      case INT32, UINT32, INT64 -> Type.Int;
      case FLOAT64 -> Type.FloatingPoint;
      case DIGEST -> Type.FixedSizeBinary;
      case INT32_LIST, INT64_LIST, FLOAT32_LIST -> Type.List;
    };
  }

  /** From the continuation marker to the end of the padded metadata. */
  private static byte[] message(byte[] metadata) {
    int length = Math.ceilDiv(8 + metadata.length, ALIGNMENT) * ALIGNMENT;
    ByteBuffer message = ArrowBatch.littleEndian(length);
    return message.putInt(CONTINUATION).putInt(length - 8).put(metadata).array();
  }

  private static byte[] ints(int... values) {
    ByteBuffer bytes = ArrowBatch.littleEndian(4 * values.length);
    for (int value : values) {
      bytes.putInt(value);
    }
    return bytes.array();
  }
}

package dev.moxie.format.pack;

import static dev.moxie.format.pack.ArrowIndex.corrupt;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Supplier;
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
import org.jspecify.annotations.Nullable;

/**
 * Reads what {@link ArrowFileWriter} writes, trusting nothing (SPEC.md, rules I2 and I3): the
 * columns must be the expected ones in the expected order, every buffer must lie inside the file,
 * and what Arrow's stricter readers refuse is refused.
 */
final class ArrowFileReader {
  private static final int LEAST_ROW_BYTES = 100;

  /** The first multiple of eight after the magic. */
  private static final int SCHEMA_OFFSET = 8;

  /** What a lenient decoder puts for bytes that are no UTF-8. */
  private static final char REPLACEMENT = '\ufffd';

  private final String where;
  private final ByteBuffer body;
  private final RecordBatch batch;
  private final int rows;
  private int node;
  private int buffer;

  private ArrowFileReader(String where, ByteBuffer body, RecordBatch batch) {
    this.where = where;
    this.body = body;
    this.batch = batch;
    this.rows = Math.toIntExact(batch.length());
  }

  /**
   * Returns one array of values per column.
   *
   * @param more whether other columns may follow, which are passed over
   */
  static @Nullable Object[][] read(
      String where, List<ArrowColumn<IndexRow>> columns, boolean more, byte[] file) {
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    int magic = ArrowFileWriter.MAGIC.length;
    int trailer = 4 + magic;
    if (file.length < magic + trailer
        || !Arrays.equals(file, 0, magic, ArrowFileWriter.MAGIC, 0, magic)
        || !Arrays.equals(
            file, file.length - magic, file.length, ArrowFileWriter.MAGIC, 0, magic)) {
      throw corrupt(where, "ARROW1 at both ends", file.length + " bytes without");
    }
    int footerLength = bytes.getInt(file.length - trailer);
    long footerStart = file.length - (long) trailer - footerLength;
    ByteBuffer footerBytes = slice(bytes, footerStart, footerLength);
    FlatbufferCheck.footer(footerBytes);
    Footer footer = Footer.getRootAsFooter(footerBytes);
    requireVersion(where + ", footer", footer.version());
    requireSchema(where + ", footer", columns, more, footer.schema());
    long start = requireSchemaMessage(where, columns, more, bytes);
    if (footer.recordBatchesLength() != 1 || footer.dictionariesLength() != 0) {
      throw corrupt(
          where,
          "one record batch and no dictionary",
          footer.recordBatchesLength() + " and " + footer.dictionariesLength());
    }
    Block block = footer.recordBatches(0);
    requirePlace(where, block, start, footerStart);
    ByteBuffer metadata = metadata(where, bytes, block.offset(), block.metaDataLength());
    Message message = Message.getRootAsMessage(metadata);
    requireVersion(where + ", record batch", message.version());
    RecordBatch batch = (RecordBatch) message.header(new RecordBatch());
    if (message.headerType() != MessageHeader.RecordBatch
        || batch == null
        || batch.compression() != null) {
      throw corrupt(where, "an uncompressed record batch", "something else");
    }
    if (message.bodyLength() != block.bodyLength()) {
      throw corrupt(
          where,
          "a record batch of " + block.bodyLength() + " bytes, as the footer says",
          message.bodyLength() + " bytes");
    }
    ByteBuffer body = slice(bytes, block.offset() + block.metaDataLength(), block.bodyLength());
    // A row takes more than this in its fixed-width buffers: a larger count cannot be true.
    if (batch.length() < 0 || batch.length() > file.length / LEAST_ROW_BYTES) {
      throw corrupt(where, "a row count that fits the file", String.valueOf(batch.length()));
    }
    var reader = new ArrowFileReader(where, body, batch);
    List<Supplier<@Nullable Object[]>> decoders = new ArrayList<>();
    columns.forEach(column -> decoders.add(reader.decoder(column)));
    reader.requireAllRead(more);
    return decoders.parallelStream().map(Supplier::get).toArray(Object[][]::new);
  }

  private static void requireVersion(String where, short version) {
    if (version != MetadataVersion.V5) {
      // The enumeration counts from V1, which is 0.
      throw corrupt(where, "metadata version 5", "version " + (version + 1));
    }
  }

  /** Blocks lie between schema and footer, and begin and end on multiples of eight bytes. */
  private static void requirePlace(String where, Block block, long start, long end) {
    boolean aligned =
        block.offset() % 8 == 0 && block.metaDataLength() % 8 == 0 && block.bodyLength() % 8 == 0;
    boolean inside =
        block.offset() >= start
            && block.metaDataLength() >= 8
            && block.bodyLength() >= 0
            && block.bodyLength() <= end - block.metaDataLength() - block.offset();
    if (!aligned || !inside) {
      throw corrupt(
          where,
          "a record batch on multiples of 8 bytes, between offsets " + start + " and " + end,
          "one of %d and %d bytes at offset %d"
              .formatted(block.metaDataLength(), block.bodyLength(), block.offset()));
    }
  }

  /** The flatbuffer of a message: after a marker and its length, which includes the padding. */
  private static ByteBuffer metadata(String where, ByteBuffer file, long offset, int length) {
    ByteBuffer framed = slice(file, offset, length);
    if (framed.getInt(0) != ArrowFileWriter.CONTINUATION || framed.getInt(4) != length - 8) {
      throw corrupt(
          where + " (offset " + offset + ")",
          "a marker and a length of " + (length - 8) + " bytes",
          "%08x and %d".formatted(framed.getInt(0), framed.getInt(4)));
    }
    ByteBuffer metadata = slice(framed, 8, length - 8L);
    FlatbufferCheck.message(metadata);
    return metadata;
  }

  /** The file begins as a stream does, with a schema; returns where it ends. */
  private static long requireSchemaMessage(
      String where, List<ArrowColumn<IndexRow>> columns, boolean more, ByteBuffer file) {
    int length = Math.addExact(8, file.getInt(SCHEMA_OFFSET + 4));
    Message message =
        Message.getRootAsMessage(metadata(where, file, SCHEMA_OFFSET, Math.max(8, length)));
    String part = where + ", first message";
    requireVersion(part, message.version());
    if (message.headerType() != MessageHeader.Schema || message.bodyLength() != 0) {
      throw corrupt(part, "a schema", "something else");
    }
    requireSchema(part, columns, more, (Schema) message.header(new Schema()));
    return SCHEMA_OFFSET + (long) length;
  }

  private static void requireSchema(
      String where, List<ArrowColumn<IndexRow>> columns, boolean more, @Nullable Schema schema) {
    if (schema == null || schema.endianness() != Endianness.Little) {
      throw corrupt(where, "a schema of little-endian columns", "another");
    }
    for (int c = 0; c < columns.size(); c++) {
      ArrowColumn<IndexRow> column = columns.get(c);
      boolean matches = c < schema.fieldsLength();
      if (matches) {
        Field field = schema.fields(c);
        matches =
            column.name().equals(field.name())
                && field.nullable() == column.nullable()
                && field.dictionary() == null
                && matches(field, column.type());
      }
      if (!matches) {
        throw corrupt(
            where,
            "column " + c + " to be " + column.name() + " of type " + column.type(),
            "another schema");
      }
    }
    if (!more && schema.fieldsLength() > columns.size()) {
      throw corrupt(
          where, columns.size() + " columns in this version", schema.fieldsLength() + " columns");
    }
  }

  private static boolean matches(Field field, ArrowType type) {
    if (field.typeType() != ArrowFileWriter.typeCode(type)) {
      return false;
    }
    boolean list = type == ArrowType.INT64_LIST;
    if (field.childrenLength() != (list ? 1 : 0)) {
      return false;
    }
    return switch (type) {
      case UTF8 -> true;
      case INT32 -> isInt(field, 32, true);
      case UINT32 -> isInt(field, 32, false);
      case INT64 -> isInt(field, 64, true);
      case DIGEST ->
          field.type(new FixedSizeBinary()) instanceof FixedSizeBinary fixed
              && fixed.byteWidth() == ArrowFileWriter.DIGEST_BYTES;
      case INT64_LIST ->
          !field.children(0).nullable() && matches(field.children(0), ArrowType.INT64);
      case INT32_LIST, FLOAT32_LIST, FLOAT64 -> throw notInAnIndex(type);
    };
  }

  private static IllegalStateException notInAnIndex(ArrowType type) {
    return new IllegalStateException("the index has no column of type " + type);
  }

  private static boolean isInt(Field field, int width, boolean signed) {
    return field.type(new Int()) instanceof Int i
        && i.bitWidth() == width
        && i.isSigned() == signed;
  }

  /** Finds a column's buffers, in the order in which they lie; the decoding may wait. */
  private Supplier<@Nullable Object[]> decoder(ArrowColumn<IndexRow> column) {
    ByteBuffer validity = openNode(column.name(), rows, column.nullable());
    return switch (column.type()) {
      case UTF8 -> {
        ByteBuffer offsets = nextBuffer();
        ByteBuffer data = nextBuffer();
        yield () -> nulled(validity, texts(column.name(), offsets(column.name(), offsets), data));
      }
      case INT32 -> fixed(validity, (data, i) -> data.getInt(4 * i));
      case UINT32 -> fixed(validity, (data, i) -> Integer.toUnsignedLong(data.getInt(4 * i)));
      case INT64 -> fixed(validity, (data, i) -> data.getLong(8 * i));
      case DIGEST -> fixed(validity, ArrowFileReader::digest);
      case INT64_LIST -> {
        int[] offsets = offsets(column.name(), nextBuffer());
        openNode(column.name(), offsets[rows], false);
        ByteBuffer data = nextBuffer();
        if (8L * offsets[rows] > data.remaining()) {
          throw corrupt(where, "all values of column " + column.name(), "fewer");
        }
        yield () -> nulled(validity, lists(offsets, data));
      }
      case INT32_LIST, FLOAT32_LIST, FLOAT64 -> throw notInAnIndex(column.type());
    };
  }

  /** The value of a row in a buffer of values of one width. */
  private interface Fixed {
    Object value(ByteBuffer data, int row);
  }

  private Supplier<@Nullable Object[]> fixed(ByteBuffer validity, Fixed type) {
    ByteBuffer data = nextBuffer();
    return () -> {
      @Nullable Object[] values = new Object[rows];
      for (int i = 0; i < rows; i++) {
        values[i] = type.value(data, i);
      }
      return nulled(validity, values);
    };
  }

  private static String digest(ByteBuffer data, int row) {
    byte[] digest = new byte[ArrowFileWriter.DIGEST_BYTES];
    data.get(digest.length * row, digest);
    return HexFormat.of().formatHex(digest);
  }

  /** What most lists are, where they may be null. */
  private static final long[] NONE = {};

  private @Nullable Object[] lists(int[] offsets, ByteBuffer data) {
    @Nullable Object[] values = new Object[rows];
    for (int i = 0; i < rows; i++) {
      int count = offsets[i + 1] - offsets[i];
      long[] items = count == 0 ? NONE : new long[count];
      for (int j = 0; j < items.length; j++) {
        items[j] = data.getLong(8 * (offsets[i] + j));
      }
      values[i] = items;
    }
    return values;
  }

  private @Nullable Object[] nulled(ByteBuffer validity, @Nullable Object[] values) {
    for (int i = 0; i < rows && validity.hasRemaining(); i++) {
      if (isNull(validity, i)) {
        values[i] = null;
      }
    }
    return values;
  }

  /** Returns the validity bitmap, empty where nothing is null. */
  private ByteBuffer openNode(String column, int length, boolean nullable) {
    FieldNode fieldNode = node < batch.nodesLength() ? batch.nodes(node++) : null;
    if (fieldNode == null || fieldNode.length() != length) {
      throw corrupt(where, length + " values in column " + column, "another number");
    }
    ByteBuffer bitmap = nextBuffer();
    if (bitmap.hasRemaining() && bitmap.remaining() < Math.ceilDiv(length, 8)) {
      throw corrupt(where, "a validity bit for each value of column " + column, "fewer");
    }
    int nulls = 0;
    for (int i = 0; i < length && bitmap.hasRemaining(); i++) {
      nulls += isNull(bitmap, i) ? 1 : 0;
    }
    if (fieldNode.nullCount() != nulls || (nulls > 0 && !nullable)) {
      throw corrupt(
          where,
          (nullable ? nulls + " nulls" : "no null") + " in column " + column,
          fieldNode.nullCount() + " counted and " + nulls + " there");
    }
    return nulls == 0 ? bitmap.limit(0) : bitmap;
  }

  private static boolean isNull(ByteBuffer validity, int row) {
    return (validity.get(row / 8) & (1 << (row % 8))) == 0;
  }

  private int[] offsets(String column, ByteBuffer data) {
    int[] offsets = new int[rows + 1];
    for (int i = 0; i <= rows; i++) {
      offsets[i] = data.getInt(4 * i);
      if (offsets[i] < 0 || (i > 0 && offsets[i] < offsets[i - 1])) {
        throw corrupt(where, "growing offsets in column " + column, "offset " + offsets[i]);
      }
    }
    return offsets;
  }

  /** Equal neighbours become one string: most columns have few different values. */
  private @Nullable Object[] texts(String column, int[] offsets, ByteBuffer data) {
    @Nullable Object[] values = new Object[rows];
    byte[] bytes = new byte[data.remaining()];
    data.get(bytes);
    for (int i = 0; i < rows; i++) {
      int from = offsets[i];
      int to = offsets[i + 1];
      boolean same = i > 0 && Arrays.equals(bytes, offsets[i - 1], from, bytes, from, to);
      values[i] = same ? values[i - 1] : text(column, bytes, from, to);
    }
    return values;
  }

  private String text(String column, byte[] bytes, int from, int to) {
    var text = new String(bytes, from, to - from, StandardCharsets.UTF_8);
    if (text.indexOf(REPLACEMENT) >= 0) {
      requireUtf8(column, ByteBuffer.wrap(bytes, from, to - from));
    }
    return text;
  }

  private void requireUtf8(String column, ByteBuffer bytes) {
    try {
      StandardCharsets.UTF_8.newDecoder().decode(bytes);
    } catch (CharacterCodingException e) {
      throw corrupt(where, "UTF-8 in column " + column, "other bytes");
    }
  }

  private ByteBuffer nextBuffer() {
    if (buffer >= batch.buffersLength()) {
      throw corrupt(where, "more buffers", buffer + " in all");
    }
    Buffer next = batch.buffers(buffer++);
    if (next.offset() % 8 != 0) {
      throw corrupt(where, "buffers on multiples of 8 bytes", "one at " + next.offset());
    }
    return slice(body, next.offset(), next.length());
  }

  /** What follows the buffers of the columns belongs to other columns, or to none. */
  private void requireAllRead(boolean more) {
    if (!more && (node < batch.nodesLength() || buffer < batch.buffersLength())) {
      throw corrupt(
          where,
          node + " nodes and " + buffer + " buffers",
          batch.nodesLength() + " and " + batch.buffersLength());
    }
  }

  private static ByteBuffer slice(ByteBuffer bytes, long offset, long length) {
    return bytes
        .slice(Math.toIntExact(offset), Math.toIntExact(length))
        .order(ByteOrder.LITTLE_ENDIAN);
  }
}

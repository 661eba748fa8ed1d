package dev.moxie.format.pack;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.Type;
import org.jspecify.annotations.Nullable;

/**
 * Whether a flatbuffer is whole: tables, vectors and strings inside it, each aligned to its
 * elements, strings closed by a zero. The generated classes believe whatever they read; Arrow's C++
 * readers check this first, and an index that they refuse is not one that any reader can use.
 */
final class FlatbufferCheck {
  /** A field of a table, in the order of the schema. */
  sealed interface Part {}

  /** A number of so many bytes. */
  private record Scalar(int bytes) implements Part {}

  private record Text() implements Part {}

  /**
   * Fields, each of which may be absent.
   *
   * @param whole whether none may be
   */
  private record Table(List<Part> parts, boolean whole) implements Part {
    Table(List<Part> parts) {
      this(parts, false);
    }
  }

  /** Structs or numbers of so many bytes, one after the other. */
  private record Vector(int bytes, int align) implements Part {}

  private record Tables(Part of) implements Part {}

  /** A table whose kind the field before it names; not looked into where that is unknown. */
  private record Union(Map<Byte, Table> kinds) implements Part {}

  private static final Part BYTE = new Scalar(1);
  private static final Part SHORT = new Scalar(2);
  private static final Part INT = new Scalar(4);
  private static final Part LONG = new Scalar(8);
  private static final Part TEXT = new Text();
  private static final Part METADATA = new Tables(new Table(List.of(TEXT, TEXT), true));

  /** Nothing asks for the fields of other types. */
  private static final Part TYPE =
      new Union(
          Map.of(
              Type.Int, new Table(List.of(INT, BYTE)),
              Type.FixedSizeBinary, new Table(List.of(INT))));

  private static final Part DICTIONARY =
      new Table(List.of(LONG, new Table(List.of(INT, BYTE)), BYTE, SHORT));
  private static final int CHILDREN_DEPTH = 8;
  private static final Table SCHEMA =
      new Table(List.of(SHORT, new Tables(field(CHILDREN_DEPTH)), METADATA, new Vector(8, 8)));
  private static final Part BLOCKS = new Vector(24, 8);
  private static final Table FOOTER = new Table(List.of(SHORT, SCHEMA, BLOCKS, BLOCKS, METADATA));
  private static final Table BATCH =
      new Table(
          List.of(
              LONG,
              new Vector(16, 8),
              new Vector(16, 8),
              new Table(List.of(BYTE, BYTE)),
              new Vector(8, 8)));
  private static final Table MESSAGE =
      new Table(
          List.of(
              SHORT,
              BYTE,
              new Union(
                  Map.of(
                      MessageHeader.Schema, SCHEMA,
                      MessageHeader.RecordBatch, BATCH)),
              LONG,
              METADATA));

  private final ByteBuffer bytes;

  /** Tables that the bytes have room for: many may claim to lie in one place. */
  private int tablesLeft;

  private FlatbufferCheck(ByteBuffer bytes) {
    this.bytes = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    this.tablesLeft = bytes.limit() / 4;
  }

  private static Table field(int depth) {
    Part children = depth == 0 ? new Vector(4, 4) : new Tables(field(depth - 1));
    return new Table(List.of(TEXT, BYTE, BYTE, TYPE, DICTIONARY, children, METADATA));
  }

  /**
   * Checks the footer of an Arrow file.
   *
   * @throws IndexOutOfBoundsException if it is not whole
   */
  static void footer(ByteBuffer bytes) {
    check(bytes, FOOTER);
  }

  /** Checks the metadata of a message, likewise. */
  static void message(ByteBuffer bytes) {
    check(bytes, MESSAGE);
  }

  private static void check(ByteBuffer bytes, Table root) {
    var check = new FlatbufferCheck(bytes);
    check.table(check.target(0), root);
  }

  private void table(int at, Table table) {
    require(tablesLeft-- > 0);
    int back = at - bytes.getInt(aligned(at, 4));
    int bytesOfEntries = Short.toUnsignedInt(bytes.getShort(aligned(back, 2))) - 4;
    require(bytesOfEntries % 2 == 0);
    require(!table.whole() || bytesOfEntries >= 2 * table.parts().size());
    int entries = bytesOfEntries / 2;
    int size = Short.toUnsignedInt(bytes.getShort(back + 2));
    require(entries >= 0);
    inside(back, 4 + 2L * entries);
    inside(at, size);
    byte kind = 0;
    for (int i = 0; i < Math.min(entries, table.parts().size()); i++) {
      int offset = Short.toUnsignedInt(bytes.getShort(back + 4 + 2 * i));
      Part part = table.parts().get(i);
      if (offset != 0) {
        require(offset + width(part) <= size);
        part(at + offset, part, kind);
        kind = BYTE.equals(part) ? bytes.get(at + offset) : 0;
      } else {
        require(!table.whole());
        kind = 0;
      }
    }
  }

  private static int width(Part part) {
    return part instanceof Scalar scalar ? scalar.bytes() : 4;
  }

  private void part(int at, Part part, byte kind) {
    switch (part) {
      case Scalar scalar -> inside(aligned(at, scalar.bytes()), scalar.bytes());
      case Text text -> {
        int start = target(at);
        int length = bytes.getInt(aligned(start, 4));
        inside(start, 4L + length + 1);
        require(length >= 0 && bytes.get(start + 4 + length) == 0);
      }
      case Table table -> table(target(at), table);
      case Vector vector -> vector(at, vector.bytes(), vector.align());
      case Tables tables -> {
        int first = target(at) + 4;
        int count = vector(at, 4, 4);
        for (int i = 0; i < count; i++) {
          part(first + 4 * i, tables.of(), (byte) 0);
        }
      }
      case Union union -> {
        @Nullable Table table = union.kinds().get(kind);
        table(target(at), table == null ? new Table(List.of()) : table);
      }
    }
  }

  /** Returns how many elements there are. */
  private int vector(int at, int width, int align) {
    int start = target(at);
    int count = bytes.getInt(aligned(start, 4));
    require(count >= 0);
    aligned(count == 0 ? 0 : start + 4, align);
    inside(start, 4 + (long) count * width);
    return count;
  }

  /** Where an offset leads, which is never back. */
  private int target(int at) {
    int offset = bytes.getInt(aligned(at, 4));
    require(offset > 0);
    return Math.addExact(at, offset);
  }

  private static int aligned(int at, int width) {
    require(at >= 0 && at % width == 0);
    return at;
  }

  private void inside(int at, long length) {
    require(at >= 0 && length >= 0 && at + length <= bytes.limit());
  }

  private static void require(boolean holds) {
    if (!holds) {
      throw new IndexOutOfBoundsException();
    }
  }
}

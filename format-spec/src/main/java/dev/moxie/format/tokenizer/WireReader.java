package dev.moxie.format.tokenizer;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/**
 * Fields of a message in the wire format of protocol buffers, one after the other. Whatever is not
 * well-formed is a {@link Malformed}; nothing is read beyond the message.
 */
final class WireReader {
  private static final int VARINT = 0;
  private static final int EIGHT_BYTES = 1;
  private static final int BYTES = 2;
  private static final int FOUR_BYTES = 5;

  private final ByteBuffer data;
  private final long start;
  private int field;
  private int type;

  /**
   * The fields of a message.
   *
   * @param start where its first byte lies in the file
   */
  WireReader(ByteBuffer data, long start) {
    this.data = data.slice().order(ByteOrder.LITTLE_ENDIAN);
    this.start = start;
  }

  /** What is wrong, and where. */
  static final class Malformed extends Exception {
    private static final long serialVersionUID = 1;

    private final long offset;
    private final String expected;
    private final String found;

    Malformed(long offset, String expected, String found) {
      super(expected);
      this.offset = offset;
      this.expected = expected;
      this.found = found;
    }

    long offset() {
      return offset;
    }

    String expected() {
      return expected;
    }

    String found() {
      return found;
    }
  }

  /** Goes to the next field, unless there is none. */
  boolean next() throws Malformed {
    if (!data.hasRemaining()) {
      return false;
    }
    long offset = offset();
    long key = varint();
    field = (int) (key >>> 3);
    type = (int) key & 7;
    if (key >>> 32 != 0 || field == 0) {
      throw new Malformed(offset, "the number of a field", Long.toUnsignedString(key >>> 3));
    }
    return true;
  }

  /** The number of the field that is read next. */
  int field() {
    return field;
  }

  /** Where the next byte lies in the file. */
  long offset() {
    return start + data.position();
  }

  /** A field that is a whole number. */
  long number() throws Malformed {
    require(VARINT, "a whole number");
    return varint();
  }

  /** A field that is 0 or 1. */
  boolean flag() throws Malformed {
    long offset = offset();
    long value = number();
    if (value < 0 || value > 1) {
      throw new Malformed(offset, "0 or 1", Long.toUnsignedString(value));
    }
    return value == 1;
  }

  float real() throws Malformed {
    require(FOUR_BYTES, "four bytes of a number");
    requireBytes(Float.BYTES);
    return data.getFloat();
  }

  /** A field that is a message. */
  WireReader message() throws Malformed {
    ByteBuffer bytes = bytes();
    return new WireReader(bytes, offset() - bytes.remaining());
  }

  /** A field that is text. */
  String text() throws Malformed {
    ByteBuffer bytes = bytes();
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
    } catch (CharacterCodingException e) {
      throw new Malformed(offset() - bytes.remaining(), "text in UTF-8", "other bytes");
    }
  }

  /** A field that is a run of bytes. */
  ByteBuffer bytes() throws Malformed {
    require(BYTES, "a run of bytes");
    long offset = offset();
    long length = varint();
    if (length < 0 || length > data.remaining()) {
      throw new Malformed(
          offset, "a run of at most " + data.remaining() + " bytes", Long.toUnsignedString(length));
    }
    ByteBuffer bytes = data.slice(data.position(), (int) length);
    data.position(data.position() + (int) length);
    return bytes;
  }

  /** Passes over a field, whatever it is. */
  void skip() throws Malformed {
    switch (type) {
      case VARINT -> varint();
      case EIGHT_BYTES -> advance(Long.BYTES);
      case BYTES -> bytes();
      case FOUR_BYTES -> advance(Float.BYTES);
      default -> throw new Malformed(offset(), "a known kind of field", "kind " + type);
    }
  }

  private void require(int wanted, String what) throws Malformed {
    if (type != wanted) {
      throw new Malformed(offset(), what + " in field " + field, "kind " + type);
    }
  }

  private void requireBytes(int count) throws Malformed {
    if (data.remaining() < count) {
      throw new Malformed(offset(), count + " bytes", data.remaining() + " of them");
    }
  }

  private void advance(int count) throws Malformed {
    requireBytes(count);
    data.position(data.position() + count);
  }

  private long varint() throws Malformed {
    long offset = offset();
    long value = 0;
    for (int shift = 0; shift < Long.SIZE; shift += 7) {
      requireBytes(1);
      byte b = data.get();
      value |= (long) (b & 0x7f) << shift;
      if (b >= 0) {
        return value;
      }
    }
    throw new Malformed(offset, "a whole number of at most ten bytes", "a longer one");
  }
}

package dev.moxie.format.pickle;

import java.util.HexFormat;
import java.util.Locale;
import java.util.Map;

/**
 * The opcodes of pickles that {@link PickleReader} reads (PEP 3154 and before it PEP 307; Python,
 * {@code Lib/pickletools.py}), and the names of all others, by which they are refused.
 */
final class Opcode {
  static final int PROTO = 0x80;
  static final int FRAME = 0x95;
  static final int STOP = '.';
  static final int MARK = '(';
  static final int MEMOIZE = 0x94;
  static final int BINGET = 'h';
  static final int NONE = 'N';
  static final int NEWTRUE = 0x88;
  static final int NEWFALSE = 0x89;
  static final int BININT = 'J';
  static final int BININT1 = 'K';
  static final int BININT2 = 'M';
  static final int SHORT_BINUNICODE = 0x8c;
  static final int SHORT_BINBYTES = 'C';
  static final int BINBYTES = 'B';
  static final int BINBYTES8 = 0x8e;
  static final int EMPTY_TUPLE = ')';
  static final int TUPLE = 't';
  static final int TUPLE1 = 0x85;
  static final int TUPLE2 = 0x86;
  static final int TUPLE3 = 0x87;
  static final int EMPTY_DICT = '}';
  static final int SETITEMS = 'u';
  static final int STACK_GLOBAL = 0x93;
  static final int REDUCE = 'R';
  static final int NEWOBJ = 0x81;
  static final int BUILD = 'b';

  private static final Map<Integer, String> NAMES =
      Map.ofEntries(
          Map.entry(PROTO, "PROTO"),
          Map.entry(FRAME, "FRAME"),
          Map.entry(STOP, "STOP"),
          Map.entry(MARK, "MARK"),
          Map.entry(MEMOIZE, "MEMOIZE"),
          Map.entry(BINGET, "BINGET"),
          Map.entry(NONE, "NONE"),
          Map.entry(NEWTRUE, "NEWTRUE"),
          Map.entry(NEWFALSE, "NEWFALSE"),
          Map.entry(BININT, "BININT"),
          Map.entry(BININT1, "BININT1"),
          Map.entry(BININT2, "BININT2"),
          Map.entry(SHORT_BINUNICODE, "SHORT_BINUNICODE"),
          Map.entry(SHORT_BINBYTES, "SHORT_BINBYTES"),
          Map.entry(BINBYTES, "BINBYTES"),
          Map.entry(BINBYTES8, "BINBYTES8"),
          Map.entry(EMPTY_TUPLE, "EMPTY_TUPLE"),
          Map.entry(TUPLE, "TUPLE"),
          Map.entry(TUPLE1, "TUPLE1"),
          Map.entry(TUPLE2, "TUPLE2"),
          Map.entry(TUPLE3, "TUPLE3"),
          Map.entry(EMPTY_DICT, "EMPTY_DICT"),
          Map.entry(SETITEMS, "SETITEMS"),
          Map.entry(STACK_GLOBAL, "STACK_GLOBAL"),
          Map.entry(REDUCE, "REDUCE"),
          Map.entry(NEWOBJ, "NEWOBJ"),
          Map.entry(BUILD, "BUILD"),
          Map.entry((int) 'c', "GLOBAL"),
          Map.entry((int) 'i', "INST"),
          Map.entry((int) 'o', "OBJ"),
          Map.entry(0x92, "NEWOBJ_EX"),
          Map.entry((int) 'P', "PERSID"),
          Map.entry((int) 'Q', "BINPERSID"),
          Map.entry(0x82, "EXT1"),
          Map.entry(0x83, "EXT2"),
          Map.entry(0x84, "EXT4"),
          Map.entry((int) 'I', "INT"),
          Map.entry((int) 'L', "LONG"),
          Map.entry(0x8a, "LONG1"),
          Map.entry(0x8b, "LONG4"),
          Map.entry((int) 'F', "FLOAT"),
          Map.entry((int) 'G', "BINFLOAT"),
          Map.entry((int) 'S', "STRING"),
          Map.entry((int) 'T', "BINSTRING"),
          Map.entry((int) 'U', "SHORT_BINSTRING"),
          Map.entry((int) 'V', "UNICODE"),
          Map.entry((int) 'X', "BINUNICODE"),
          Map.entry(0x8d, "BINUNICODE8"),
          Map.entry(0x96, "BYTEARRAY8"),
          Map.entry(0x97, "NEXT_BUFFER"),
          Map.entry(0x98, "READONLY_BUFFER"),
          Map.entry((int) ']', "EMPTY_LIST"),
          Map.entry((int) 'a', "APPEND"),
          Map.entry((int) 'e', "APPENDS"),
          Map.entry((int) 'l', "LIST"),
          Map.entry((int) 'd', "DICT"),
          Map.entry((int) 's', "SETITEM"),
          Map.entry(0x8f, "EMPTY_SET"),
          Map.entry(0x90, "ADDITEMS"),
          Map.entry(0x91, "FROZENSET"),
          Map.entry((int) '0', "POP"),
          Map.entry((int) '1', "POP_MARK"),
          Map.entry((int) '2', "DUP"),
          Map.entry((int) 'g', "GET"),
          Map.entry((int) 'j', "LONG_BINGET"),
          Map.entry((int) 'p', "PUT"),
          Map.entry((int) 'q', "BINPUT"),
          Map.entry((int) 'r', "LONG_BINPUT"));

  private Opcode() {}

  /** What an opcode is called; a byte that is none is written as such. */
  static String name(int code) {
    String hex = HexFormat.of().toHexDigits((byte) code).toUpperCase(Locale.ROOT);
    return NAMES.getOrDefault(code, "no opcode, byte 0x" + hex);
  }
}
